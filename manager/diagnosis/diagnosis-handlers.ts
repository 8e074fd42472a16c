import type { Server } from '@grpc/grpc-js';
import { ALL_NODES, type RpcGate } from '../../proto/rpc/gate.ts';
import { diagnosisService } from '../../proto/rpc/services.ts';
import type { Inquiry } from './inquiry.ts';

/** Adds the nodes' side of the leader's questions to the authenticated server. */
export function addDiagnosisService(server: Server, gate: RpcGate, inquiry: Inquiry): void {
  diagnosisService.add(server, {
    questions: gate.stream(ALL_NODES, (_, caller, stream) => inquiry.listen(caller, stream)),
    answer: gate.unary(ALL_NODES, ({ id, answerGzip, error }, caller) => {
      inquiry.answered(caller, { id, answerGzip, error });
      return {};
    }),
  });
}
