import { crc32 } from 'node:zlib';
import { ConnectDeadline } from '../../proto/rpc/connect-deadline.ts';
import { CHANNEL_OPTIONS, MAX_MESSAGE_BYTES, nodeCredentials, type TlsSource } from '../../proto/rpc/credentials.ts';
import { raftService } from '../../proto/rpc/services.ts';
import { fromServiceError, isOtherSwarm } from '../../proto/rpc/status.ts';
import type { Clock } from '../../proto/runtime/clock.ts';
import { messageOf, WaggleError } from '../../proto/runtime/errors.ts';
import type { Startable } from '../../proto/runtime/lifecycle.ts';
import type { Log } from '../../proto/runtime/log.ts';
import type { RaftId } from './core/entry.ts';
import type { InstallSnapshot, Message } from './core/message.ts';
import { DEFAULT_PEER_SENDER_OPTIONS, PeerSender } from './peer-sender.ts';
import type { RaftTransport } from './transport.ts';
import { toWire } from './wire.ts';

const CHUNK_BYTES = 512 * 1024;
const SNAPSHOT_TIMEOUT_MS = 120_000;
/** Streams are not repeated by gRPC: what it would keep for that, Raft sends again itself. */
const OPTIONS = { ...CHANNEL_OPTIONS, 'grpc.max_reconnect_backoff_ms': 500, 'grpc.enable_retries': 0 };

type Client = InstanceType<typeof raftService.Client>;

interface Peer {
  address: string;
  client: Client;
  deadline: ConnectDeadline;
  /** Appends, which may be large, and all the rest, which must not wait behind them. */
  appends: PeerSender;
  urgent: PeerSender;
}

export interface GrpcTransportModules {
  source: TlsSource;
  /** A member could not be reached just now. */
  unreachable: (id: RaftId) => void;
  /** host:port at which the others reach this member; they are told, in case it has moved. */
  address?: () => string;
  /** Default: CONNECT_WITHIN_MS. */
  connectWithinMs?: number;
  clock: Clock;
  log: Log;
}

/**
 * RaftTransport over one mutually authenticated connection per peer. Two streams each: appends, which may be large, and all
 * the rest, which must not wait behind them. A peer is where `setMembers` says, until it says itself that it has moved.
 */
export class GrpcTransport implements RaftTransport, Startable {
  readonly #modules: GrpcTransportModules;
  readonly #peers = new Map<RaftId, Peer>();
  #members: ReadonlyMap<RaftId, string> = new Map();
  /** Members that said that they are somewhere else than `from`, where `setMembers` has them. */
  readonly #moved = new Map<RaftId, { from: string | undefined; to: string }>();
  #unsubscribe: (() => void) | undefined;

  constructor(modules: GrpcTransportModules) {
    this.#modules = modules;
  }

  async start(): Promise<void> {
    // A renewed certificate: the next message opens a connection with it.
    this.#unsubscribe = this.#modules.source.onChange(() => this.#closeAll());
    await Promise.resolve();
  }

  async stop(): Promise<void> {
    this.#unsubscribe?.();
    this.#closeAll();
    await Promise.resolve();
  }

  setMembers(members: ReadonlyMap<RaftId, string>): void {
    this.#members = new Map(members);
    for (const [id, { from }] of this.#moved) if (members.get(id) !== from) this.#moved.delete(id);
    for (const [id, peer] of this.#peers) {
      if (this.#addressOf(id) !== peer.address) this.#close(id, peer);
    }
  }

  /** Members that said that they are somewhere else than `setMembers` has them, host:port. */
  get moved(): ReadonlyMap<RaftId, string> {
    return new Map([...this.#moved].map(([id, { to }]) => [id, to]));
  }

  /** The member says that it is reached at `address`; that counts until `setMembers` says something new of it. */
  located(id: RaftId, address: string): void {
    if (this.#addressOf(id) === address || !this.#members.has(id)) return;
    this.#modules.log.info({ peer: id, address }, 'a manager is reached at another address');
    this.#moved.set(id, { from: this.#members.get(id), to: address });
    const peer = this.#peers.get(id);
    if (peer !== undefined) this.#close(id, peer);
  }

  send(messages: readonly Message[]): void {
    for (const message of messages) {
      const peer = this.#peer(message.to);
      const sender = message.type === 'append' && message.entries.length > 0 ? peer?.appends : peer?.urgent;
      sender?.send(message);
    }
  }

  async sendSnapshot(message: InstallSnapshot, chunks: Iterable<Uint8Array>): Promise<void> {
    const peer = this.#peer(message.to);
    if (peer === undefined) throw new WaggleError('unavailable', `member ${message.to} has no address`);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    // Whoever fails first is thrown below; the stream's own end must not be an unhandled rejection then.
    promise.catch(() => undefined);
    const stream = peer.client.installSnapshot((error) =>
      error === null ? resolve() : reject(fromServiceError(error)),
    );
    stream.on('error', (error) => reject(fromServiceError(error)));
    const cancel = this.#modules.clock.after(SNAPSHOT_TIMEOUT_MS, () => stream.cancel());
    const write = async (part: Parameters<typeof stream.write>[0]): Promise<void> => {
      if (stream.write(part)) return;
      await Promise.race([new Promise<void>((drained) => stream.once('drain', () => drained())), promise]);
    };
    try {
      await write({ message: toWire(message) });
      let checksum = 0;
      for (const chunk of chunks) {
        checksum = crc32(chunk, checksum);
        for (const piece of pieces(chunk)) await write({ chunk: piece });
        // A chunk is made when it is asked for: others must have their turn in between.
        await new Promise<void>((turn) => setImmediate(turn));
      }
      await write({ last: true, checksum });
      stream.end();
      await promise;
    } finally {
      cancel();
      stream.cancel();
    }
  }

  #addressOf(id: RaftId): string | undefined {
    return (this.#moved.get(id)?.to ?? this.#members.get(id)) || undefined;
  }

  #peer(id: RaftId): Peer | undefined {
    const address = this.#addressOf(id);
    const known = this.#peers.get(id);
    if (known?.deadline.passed(known.client.getChannel()) === true) {
      this.#modules.log.debug({ peer: id, address: known.address }, 'a manager could not be connected to in time');
      this.#close(id, known);
      this.#modules.unreachable(id);
    } else if (address === undefined || known !== undefined) return known;
    return address === undefined ? undefined : this.#open(id, address);
  }

  #open(id: RaftId, address: string): Peer {
    const client = new raftService.Client(address, nodeCredentials(this.#modules.source.tls()), OPTIONS);
    let isWarned = false;
    const broken = (thrown: Error): void => {
      const error = fromServiceError(thrown);
      const fields = { peer: id, address, error: messageOf(error) };
      if (isOtherSwarm(error) && !isWarned)
        this.#modules.log.warn(fields, 'a manager of another swarm has this address');
      else this.#modules.log.debug(fields, 'raft stream broke');
      isWarned ||= isOtherSwarm(error);
      this.#modules.unreachable(id);
    };
    const open = (onEnd: (error: Error | null) => void): ReturnType<Client['messages']> => client.messages(onEnd);
    const own = this.#modules.address?.();
    const options = { ...DEFAULT_PEER_SENDER_OPTIONS, ...(own === undefined ? {} : { address: own }) };
    const peer: Peer = {
      address,
      client,
      deadline: new ConnectDeadline(this.#modules.clock, this.#modules.connectWithinMs),
      appends: new PeerSender(options, open, broken),
      urgent: new PeerSender(options, open, broken),
    };
    this.#peers.set(id, peer);
    return peer;
  }

  #close(id: RaftId, peer: Peer): void {
    this.#peers.delete(id);
    peer.appends.close();
    peer.urgent.close();
    peer.client.close();
  }

  #closeAll(): void {
    for (const [id, peer] of this.#peers) this.#close(id, peer);
  }
}

function* pieces(chunk: Uint8Array): Iterable<Uint8Array> {
  const size = Math.min(CHUNK_BYTES, MAX_MESSAGE_BYTES / 2);
  for (let at = 0; at < chunk.length; at += size) yield chunk.subarray(at, at + size);
}
