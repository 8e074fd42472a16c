import type { CertificateAuthority, IssuedCertificate, IssueRequest } from '../../manager/ca/certificate-authority.ts';
import type { Caller } from '../../proto/rpc/caller.ts';
import type { TlsSource } from '../../proto/rpc/credentials.ts';
import { ManagerConnection } from '../../proto/rpc/manager-connection.ts';
import { callUnary } from '../../proto/rpc/unary.ts';
import type { Clock } from '../../proto/runtime/clock.ts';
import { WaggleError } from '../../proto/runtime/errors.ts';

const CALL_MS = 5_000;

export interface RoutedAuthorityModules {
  authority: CertificateAuthority;
  /** Undefined while this manager leads itself; '' while nobody does. */
  leader: () => string | undefined;
  source: TlsSource;
  clock: Clock;
}

/**
 * The certificate authority of any manager: a node that joins may know only one that does not lead, whose part it is to pass its
 * request, token and all, on to the leader. Renewals are not passed on, since they are the caller's own: it asks another manager.
 */
export function routeAuthority(
  modules: RoutedAuthorityModules,
): Pick<CertificateAuthority, 'rootCertificate' | 'issue'> {
  const { authority } = modules;
  return {
    rootCertificate: () => authority.rootCertificate(),
    issue: async (request: IssueRequest, caller: Caller | undefined) => {
      const leader = modules.leader();
      if (leader === undefined) return authority.issue(request, caller);
      if (leader === '' || request.token === '')
        throw new WaggleError('unavailable', 'this manager does not lead the swarm');
      return forward(leader, request, modules);
    },
  };
}

async function forward(
  leader: string,
  request: IssueRequest,
  modules: RoutedAuthorityModules,
): Promise<IssuedCertificate> {
  const connection = new ManagerConnection(leader, modules.source.tls());
  try {
    const { nodeCa } = connection;
    const answer = await callUnary(nodeCa, nodeCa.issueNodeCertificate, request, {
      clock: modules.clock,
      timeoutMs: CALL_MS,
    });
    return {
      nodeId: answer.nodeId,
      clusterId: answer.clusterId,
      role: answer.role === 'manager' ? 'manager' : 'worker',
      certificate: Buffer.from(answer.certificate).toString(),
      rootCertificate: Buffer.from(answer.rootCertificate).toString(),
      ...(answer.lockVersion === 0 ? {} : { lock: { key: answer.unlockKey, version: answer.lockVersion } }),
    };
  } finally {
    connection.close();
  }
}
