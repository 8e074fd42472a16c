import { waggle as ca } from '../gen/ca.js';
import { waggle as control } from '../gen/control.js';
import { waggle as diagnosis } from '../gen/diagnosis.js';
import { waggle as dispatcher } from '../gen/dispatcher.js';
import { waggle as raft } from '../gen/raft.js';
import { typedService } from './service.ts';

/** The gRPC services of port 2377, ready to be served (`add`) or called (`Client`). */
export const caService = typedService(ca.ca, ca.ca.CA);
export const nodeCaService = typedService(ca.ca, ca.ca.NodeCA);
export const dispatcherService = typedService(dispatcher.dispatcher, dispatcher.dispatcher.Dispatcher);
export const diagnosisService = typedService(diagnosis.diagnosis, diagnosis.diagnosis.Diagnosis);
export const resourceAllocatorService = typedService(dispatcher.dispatcher, dispatcher.dispatcher.ResourceAllocator);
export const controlService = typedService(control.control, control.control.Control);
export const raftService = typedService(raft.raft, raft.raft.Raft);
export const raftMembershipService = typedService(raft.raft, raft.raft.RaftMembership);
