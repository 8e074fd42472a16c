import { createPublicKey, X509Certificate } from 'node:crypto';
import * as tls from 'node:tls';
import * as grpc from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RootCa } from '../../../../manager/ca/root-ca.ts';
import type { NodeRole } from '../../../../proto/objects/node.ts';
import { anonymousCredentials, CHANNEL_OPTIONS, nodeCredentials } from '../../../../proto/rpc/credentials.ts';
import {
  caService,
  controlService,
  dispatcherService,
  nodeCaService,
  resourceAllocatorService,
} from '../../../../proto/rpc/services.ts';
import { systemClock } from '../../../../proto/runtime/clock.ts';
import { createCertificateRequest } from '../../../../worker/identity/certificate-request.ts';
import { type LoopbackManager, startLoopbackManager } from '../../../fixtures/loopback-manager.ts';

type Who = 'anonymous' | 'worker' | 'manager' | 'foreign CA' | 'other swarm' | 'removed';
/** `in`: past the gate, whatever the handler then says of a made-up request. */
type Verdict = 'in' | 'denied' | 'no such service';

const services = { caService, nodeCaService, dispatcherService, resourceAllocatorService, controlService };
const METHODS = Object.values(services).flatMap((service) => Object.values(service.definition));

/** Every RPC of port 2377. A new one must be entered here. */
const EXPECTED: Record<string, Record<Who, Verdict>> = {
  '/waggle.ca.CA/GetRootCACertificate': bootstrap(),
  '/waggle.ca.NodeCA/IssueNodeCertificate': bootstrap(),
  '/waggle.dispatcher.Dispatcher/Session': nodes(),
  '/waggle.dispatcher.Dispatcher/Heartbeat': nodes(),
  '/waggle.dispatcher.Dispatcher/UpdateTaskStatus': nodes(),
  '/waggle.dispatcher.Dispatcher/Assignments': nodes(),
  '/waggle.dispatcher.ResourceAllocator/AllocateAddress': nodes(),
  '/waggle.dispatcher.ResourceAllocator/ReleaseAddress': nodes(),
  '/waggle.dispatcher.ResourceAllocator/ReportAddresses': nodes(),
  '/waggle.control.Control/Operate': { ...nodes(), worker: 'denied' },
};

function bootstrap(): Record<Who, Verdict> {
  return {
    anonymous: 'in',
    worker: 'in',
    manager: 'in',
    'foreign CA': 'in',
    'other swarm': 'denied',
    removed: 'denied',
  };
}
function nodes(): Record<Who, Verdict> {
  return {
    anonymous: 'no such service',
    worker: 'in',
    manager: 'in',
    'foreign CA': 'no such service',
    'other swarm': 'denied',
    removed: 'denied',
  };
}

describe('who may call what', () => {
  let manager: LoopbackManager;
  let foreign: LoopbackManager;
  const credentials = new Map<Who, grpc.ChannelCredentials>();

  beforeAll(async () => {
    [manager, foreign] = await Promise.all([startLoopbackManager(), startLoopbackManager()]);
    const { RootCA, ID } = manager.cluster();
    const ca = await RootCa.open({ certificate: RootCA.Certificate, key: RootCA.Key });
    const certified = async (nodeId: string, role: NodeRole, clusterId: string): Promise<grpc.ChannelCredentials> => {
      const { key } = createCertificateRequest();
      const publicKey = createPublicKey(key).export({ type: 'spki', format: 'der' });
      const subject = { nodeId, role, clusterId };
      const certificate = await ca.issue(publicKey, subject, systemClock.now(), 3_600_000);
      return nodeCredentials({ certificate, key, root: RootCA.Certificate });
    };
    credentials.set('anonymous', anonymousCredentials(RootCA.Certificate));
    credentials.set('worker', await certified('w1', 'worker', ID));
    credentials.set('manager', nodeCredentials(manager.identity.tls()));
    credentials.set('foreign CA', nodeCredentials({ ...foreign.identity.tls(), root: RootCA.Certificate }));
    credentials.set('other swarm', await certified('w2', 'worker', 'another'));
    credentials.set('removed', await certified('w3', 'worker', ID));
    await manager.store.update((tx) => {
      const cluster = manager.cluster();
      tx.update('clusters', { ...cluster, RemovedNodes: [{ ID: 'w3', Until: '2100-01-01T00:00:00Z' }] });
    });
  });
  afterAll(() => Promise.all([manager.stop(), foreign.stop()]));

  it('knows every RPC', () => {
    expect(METHODS.map((method) => method.path).toSorted()).toEqual(Object.keys(EXPECTED).toSorted());
  });

  async function call(who: Who, path: string): Promise<Verdict> {
    const present = credentials.get(who);
    const method = METHODS.find((one) => one.path === path);
    if (present === undefined || method === undefined) throw new Error(`nothing to call ${path} with`);
    const client = new grpc.Client(manager.address, present, CHANNEL_OPTIONS);
    try {
      return await new Promise<Verdict>((resolve) => {
        const stream = client.makeServerStreamRequest(
          path,
          (bytes: Buffer) => bytes,
          (bytes) => bytes,
          Buffer.alloc(0),
        );
        stream.on('data', () => resolve('in'));
        stream.on('error', (error: grpc.ServiceError) => resolve(verdictOf(error)));
        stream.on('end', () => resolve('in'));
      });
    } finally {
      client.close();
    }
  }

  function verdictOf(error: grpc.ServiceError): Verdict {
    if (error.code === grpc.status.PERMISSION_DENIED) return 'denied';
    if (error.code === grpc.status.UNIMPLEMENTED && error.details.includes('not implement')) return 'no such service';
    if (error.code === grpc.status.UNAVAILABLE && !error.details.includes('does not lead')) throw error;
    return 'in';
  }

  const cases = Object.entries(EXPECTED).flatMap(([path, row]) =>
    Object.entries(row).map(([who, verdict]) => ({ id: `${who} ${path}`, who: who as Who, path, verdict })),
  );
  it.each(cases)('$id: $verdict', async ({ who, path, verdict }) => {
    expect(await call(who, path)).toBe(verdict);
  });

  it('lets nobody in while the manager has no state', async () => {
    const empty = await startLoopbackManager();
    const { material } = { material: empty.identity.tls() };
    await empty.store.update((tx) => tx.remove('clusters', empty.cluster().ID));
    const client = new dispatcherService.Client(empty.address, nodeCredentials(material), CHANNEL_OPTIONS);
    const failure = await new Promise<grpc.ServiceError | null>((resolve) => {
      client.heartbeat({}, new grpc.Metadata(), {}, (error) => resolve(error));
    });
    expect(failure).toMatchObject({ code: grpc.status.UNAVAILABLE, details: expect.stringContaining('no state') });
    client.close();
    await empty.stop();
  });

  it('serves a renewed certificate to new connections and keeps the open ones', async () => {
    const shown = (): Promise<string> =>
      new Promise((resolve, reject) => {
        const { certificate, key, root } = manager.identity.tls();
        const options = { port: manager.server.port, host: '127.0.0.1', servername: 'swarm-manager' };
        const socket = tls.connect({ ...options, cert: certificate, key, ca: root, ALPNProtocols: ['h2'] }, () => {
          resolve(socket.getPeerCertificate().fingerprint256);
          socket.destroy();
        });
        socket.on('error', reject);
      });
    const client = new dispatcherService.Client(
      manager.address,
      nodeCredentials(manager.identity.tls()),
      CHANNEL_OPTIONS,
    );
    const changes: number[] = [];
    const beat = (): Promise<string> =>
      new Promise((resolve) => {
        client.heartbeat({}, new grpc.Metadata(), {}, (error) => resolve(error?.details ?? ''));
      });
    expect(await beat()).toBe('session invalid');
    client.getChannel().watchConnectivityState(grpc.connectivityState.READY, Number.POSITIVE_INFINITY, (error) => {
      if (error === undefined) changes.push(client.getChannel().getConnectivityState(false));
    });
    const before = await shown();
    const request = createCertificateRequest();
    const caller = { nodeId: manager.identity.nodeId, role: 'manager', clusterId: manager.cluster().ID } as const;
    const renewed = await manager.authority.issue(
      { csr: Buffer.from(request.csr), token: '', availability: '' },
      caller,
    );
    manager.identity.replace({ ...manager.identity.tls(), certificate: renewed.certificate, key: request.key });
    expect(await shown()).toBe(new X509Certificate(renewed.certificate).fingerprint256);
    expect(await shown()).not.toBe(before);
    expect(await beat()).toBe('session invalid');
    expect(changes).toEqual([]);
    client.close();
  });
});
