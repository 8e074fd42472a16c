import type { Server } from '@grpc/grpc-js';
import type { RpcGate } from '../../proto/rpc/gate.ts';
import { caService, nodeCaService } from '../../proto/rpc/services.ts';
import type { CertificateAuthority } from './certificate-authority.ts';

/** Adds the two bootstrap services to a server; they belong on both servers of port 2377. */
export function addCaServices(
  server: Server,
  gate: RpcGate,
  authority: Pick<CertificateAuthority, 'rootCertificate' | 'issue'>,
): void {
  caService.add(server, {
    getRootCACertificate: gate.open(() => ({ certificate: Buffer.from(authority.rootCertificate()) })),
  });
  nodeCaService.add(server, {
    issueNodeCertificate: gate.open(async (request, caller) => {
      const { lock, ...issued } = await authority.issue(request, caller);
      return {
        ...issued,
        ...(lock === undefined ? {} : { unlockKey: lock.key, lockVersion: lock.version }),
        certificate: Buffer.from(issued.certificate),
        rootCertificate: Buffer.from(issued.rootCertificate),
      };
    }),
  });
}
