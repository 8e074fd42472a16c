import { createPublicKey } from 'node:crypto';
import { createRoot, RootCa, type RootMaterial } from '../../../../manager/ca/root-ca.ts';
import type { RaftId } from '../../../../manager/raft/core/entry.ts';
import type { Message } from '../../../../manager/raft/core/message.ts';
import { GrpcTransport } from '../../../../manager/raft/grpc-transport.ts';
import { addRaftService } from '../../../../manager/raft/raft-handlers.ts';
import type { RaftReceiver } from '../../../../manager/raft/transport.ts';
import type { NodeRole } from '../../../../proto/objects/node.ts';
import type { TlsMaterial } from '../../../../proto/rpc/credentials.ts';
import { RpcGate } from '../../../../proto/rpc/gate.ts';
import { ManagerServer } from '../../../../proto/rpc/manager-server.ts';
import { systemClock } from '../../../../proto/runtime/clock.ts';
import { silentLog } from '../../../../proto/runtime/log.ts';
import { createCertificateRequest } from '../../../../worker/identity/certificate-request.ts';

export const SWARM = 'swarm';

/** Certificates of one root, for any node, role and swarm. */
export class TestCa {
  readonly #root: RootMaterial;
  readonly #ca: RootCa;

  private constructor(root: RootMaterial, ca: RootCa) {
    this.#root = root;
    this.#ca = ca;
  }

  static async make(): Promise<TestCa> {
    const root = await createRoot(systemClock.now());
    return new TestCa(root, await RootCa.open(root));
  }

  async material(nodeId: string, role: NodeRole = 'manager', clusterId = SWARM): Promise<TlsMaterial> {
    const { key } = createCertificateRequest();
    const publicKey = createPublicKey(key).export({ type: 'spki', format: 'der' });
    const certificate = await this.#ca.issue(publicKey, { nodeId, role, clusterId }, systemClock.now(), 3_600_000);
    return { certificate, key, root: this.#root.certificate };
  }
}

/** What came in. */
export class Recorder implements RaftReceiver {
  readonly id: RaftId;
  readonly messages: Message[] = [];
  readonly snapshots: { message: Message; bytes: number; chunks: number }[] = [];
  readonly away: RaftId[] = [];

  constructor(id: RaftId) {
    this.id = id;
  }

  receive(message: Message): void {
    this.messages.push(message);
  }

  async receiveSnapshot(message: Message, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const snapshot = { message, bytes: 0, chunks: 0 };
    for await (const chunk of chunks) {
      snapshot.bytes += chunk.length;
      snapshot.chunks++;
    }
    this.snapshots.push(snapshot);
  }

  unreachable(id: RaftId): void {
    this.away.push(id);
  }
}

export interface Endpoint {
  id: RaftId;
  address: string;
  recorder: Recorder;
  server: ManagerServer;
  transport: GrpcTransport;
  /** Members that said where they are. */
  located: { id: RaftId; address: string }[];
  renew(material: TlsMaterial): void;
  stop(): Promise<void>;
}

export interface EndpointOptions {
  id: RaftId;
  material: TlsMaterial;
  port?: number;
  /** Whose node a Raft ID is, as this endpoint knows. */
  nodeOf?: (id: RaftId) => string | undefined;
  /** What it says of itself, when not its own address. */
  says?: string;
  connectWithinMs?: number;
}

/** One manager's end of the Raft connections, on the loopback, with TLS as in a swarm. */
export async function startEndpoint(options: EndpointOptions): Promise<Endpoint> {
  const { id } = options;
  let { material } = options;
  const listeners = new Set<() => void>();
  const source = {
    tls: () => material,
    onChange: (listener: () => void) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
  const recorder = new Recorder(id);
  const located: Endpoint['located'] = [];
  const server = new ManagerServer(
    { host: '127.0.0.1', port: options.port ?? 0 },
    { source, clock: systemClock, log: silentLog },
  );
  const gate = new RpcGate({
    membership: { clusterId: () => SWARM, isRemoved: (node) => node === 'gone' },
    log: silentLog,
  });
  const transport: GrpcTransport = new GrpcTransport({
    source,
    unreachable: (peer) => recorder.unreachable(peer),
    address: () => options.says ?? `127.0.0.1:${server.port}`,
    ...(options.connectWithinMs === undefined ? {} : { connectWithinMs: options.connectWithinMs }),
    clock: systemClock,
    log: silentLog,
  });
  addRaftService(server.authenticated, gate, {
    receiver: () => recorder,
    nodeOf: options.nodeOf ?? ((each) => `node${each}`),
    located: (each, address) => {
      located.push({ id: each, address });
      transport.located(each, address);
    },
  });
  await server.start();
  await transport.start();
  return {
    id,
    address: `127.0.0.1:${server.port}`,
    recorder,
    server,
    transport,
    located,
    renew(next) {
      material = next;
      for (const listener of listeners) listener();
    },
    async stop() {
      await transport.stop();
      await server.stop();
    },
  };
}
