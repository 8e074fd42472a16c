import type { NetworkCheck, NetworkTrace, TraceRequest } from '../../proto/objects/diagnosis/report.ts';
import type { NetworkObject } from '../../proto/objects/network.ts';
import type { NodeObject } from '../../proto/objects/node.ts';
import type { ServiceObject } from '../../proto/objects/service.ts';
import type { TaskObject } from '../../proto/objects/task.ts';
import type { Clock } from '../../proto/runtime/clock.ts';
import type { Random } from '../../proto/runtime/random.ts';
import type { Store } from '../store/transaction.ts';

/** Makes a new join token for a swarm with this root certificate (PEM). */
export type JoinTokenFactory = (rootCertPem: string) => string;

/** True when the task is what the service now asks for; the orchestrator's own rule. */
export type UpToDateRule = (service: ServiceObject, task: TaskObject, node: NodeObject | undefined) => boolean;

/** Looks at the swarm's networks on all nodes (manager/diagnosis). */
export interface NetworkDiagnosis {
  check(networkId: string | undefined): Promise<NetworkCheck>;
  trace(request: TraceRequest, network: NetworkObject | undefined): Promise<NetworkTrace>;
}

export interface ControlOptions {
  /** Nodes may be promoted. False while this build runs a single manager: a promotion is then refused. */
  promotion: boolean;
}

/** What the control API stands on. */
export interface ControlModules {
  store: Store;
  clock: Clock;
  random: Random;
  newId: () => string;
  joinToken: JoinTokenFactory;
  isTaskUpToDate: UpToDateRule;
  /** True when the managers keep their quorum without those of these Raft IDs. */
  canSpareManagers: (raftIds: readonly number[]) => boolean;
  diagnosis: NetworkDiagnosis;
}
