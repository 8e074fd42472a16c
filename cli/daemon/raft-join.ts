import type { RaftId } from '../../manager/raft/core/entry.ts';
import type { RaftMember } from '../../manager/rolemanager/membership.ts';
import { CHANNEL_OPTIONS, nodeCredentials, type TlsSource } from '../../proto/rpc/credentials.ts';
import { raftMembershipService } from '../../proto/rpc/services.ts';
import { callUnary } from '../../proto/rpc/unary.ts';
import { type Clock, sleep } from '../../proto/runtime/clock.ts';
import { isTemporary, messageOf, WaggleError } from '../../proto/runtime/errors.ts';

const CALL_MS = 5_000;
const PAUSE_MS = 200;

export interface RaftJoinRequest {
  raftId: RaftId;
  /** Where the other managers will find this one, host:port. */
  address: string;
  /** Managers to ask, host:port; one of them leads. */
  managers: readonly string[];
  /** For so long they are asked again; 0: each of them once. */
  patienceMs: number;
}

/** Asks the managers, one after another, to be taken into Raft, until the leader has done it. @throws WaggleError */
export async function joinRaftGroup(
  request: RaftJoinRequest,
  modules: { source: TlsSource; clock: Clock; signal: AbortSignal },
): Promise<RaftMember[]> {
  const { clock, signal } = modules;
  const deadline = clock.monotonic() + request.patienceMs;
  let failure: unknown = new WaggleError('unavailable', 'no manager is known');
  do {
    for (const manager of request.managers) {
      try {
        const answer = await askOne(manager, request, modules);
        const final = answer.leader === '' ? answer : await askOne(answer.leader, request, modules);
        if (final.leader === '') return final.members;
        failure = new WaggleError('unavailable', 'the managers do not agree on who leads');
      } catch (error) {
        if (!isTemporary(error)) throw error;
        failure = error;
      }
    }
    await sleep(clock, PAUSE_MS, signal);
  } while (clock.monotonic() < deadline && !signal.aborted);
  throw new WaggleError('unavailable', `the managers have not taken this one in: ${messageOf(failure)}`, {
    cause: failure,
  });
}

async function askOne(
  manager: string,
  { raftId, address }: RaftJoinRequest,
  { source, clock, signal }: { source: TlsSource; clock: Clock; signal: AbortSignal },
): Promise<{ members: RaftMember[]; leader: string }> {
  const client = new raftMembershipService.Client(manager, nodeCredentials(source.tls()), CHANNEL_OPTIONS);
  try {
    const answer = await callUnary(client, client.join, { raftId, address }, { clock, timeoutMs: CALL_MS, signal });
    const members = answer.members.map((member) => ({
      raftId: member.raftId ?? 0,
      nodeId: member.nodeId ?? '',
      address: member.address ?? '',
    }));
    return { members, leader: answer.leader };
  } finally {
    client.close();
  }
}
