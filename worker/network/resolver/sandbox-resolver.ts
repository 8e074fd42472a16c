import type { Socket as UdpSocket } from 'node:dgram';
import type { Server, Socket as TcpSocket } from 'node:net';
import type { CancelTimer, Clock } from '../../../proto/runtime/clock.ts';
import type { Log } from '../../../proto/runtime/log.ts';
import { type Answer, answerQuestion } from './answer.ts';
import { type DnsQuery, encodeAnswer, encodeFailure, parseQuery } from './dns-message.ts';
import { ForwardTable } from './forward-table.ts';
import type { NetworkNames } from './name-index.ts';
import type { SandboxNetwork } from '../sandbox/sandboxes.ts';
import { askByStream, serveDnsStream } from './dns-stream.ts';

export interface ResolverSockets {
  udp: UdpSocket;
  forward: UdpSocket;
  tcp: Server;
}

export interface SandboxResolverOptions {
  /** What the sandbox is on now; asked for with every question. */
  networks: () => readonly SandboxNetwork[];
  names: (networkId: string) => NetworkNames;
  /** The endpoint table cannot be trusted to be complete yet. */
  incomplete: () => boolean;
  /** A stream to Docker's resolver in the sandbox. */
  connect: () => Promise<TcpSocket>;
}

export interface SandboxResolverModules {
  clock: Clock;
  log: Log;
}

const RECHECK_MS = 50;
/** Held queries of one sandbox; more are dropped, and the client asks again. */
const MOST_HELD = 1_024;
const TCP_ANSWER_BYTES = 65_535;
const ENGINE_RESOLVER = { address: '127.0.0.11', port: 53 } as const;

interface Held {
  query: DnsQuery;
  settle: (answer: Answer) => void;
}

/**
 * Answers the queries of one sandbox on sockets inside it. Each query is answered from the endpoint table, passed on as
 * it is to Docker's resolver, or held: looked at again on `recheck` and every 50 ms, until `incomplete` ends.
 */
export class SandboxResolver {
  readonly #sockets: ResolverSockets;
  readonly #options: SandboxResolverOptions;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #held = new Set<Held>();
  readonly #forwarded: ForwardTable;
  readonly #streams = new Set<TcpSocket>();
  #cancelRecheck: CancelTimer | undefined;
  #turn = 0;
  #alive = false;

  constructor(sockets: ResolverSockets, options: SandboxResolverOptions, modules: SandboxResolverModules) {
    this.#sockets = sockets;
    this.#options = options;
    this.#clock = modules.clock;
    this.#log = modules.log;
    this.#forwarded = new ForwardTable(modules.clock);
  }

  /** False when a socket has failed: the sandbox must be set up again. */
  get alive(): boolean {
    return this.#alive;
  }

  open(): void {
    const { udp, forward, tcp } = this.#sockets;
    this.#alive = true;
    udp.on('message', (bytes, from) => this.query(bytes, from.address, from.port));
    forward.on('message', (bytes, from) => {
      if (from.address === ENGINE_RESOLVER.address && from.port === ENGINE_RESOLVER.port) this.#relay(bytes);
    });
    tcp.on('connection', (socket) => this.stream(socket));
    for (const socket of [udp, tcp]) {
      socket.on('error', (error) => this.#fail(error));
      socket.on('close', () => {
        this.#alive = false;
      });
    }
    forward.on('error', (error) => this.#fail(error));
  }

  close(): void {
    this.#alive = false;
    this.#cancelRecheck?.();
    this.#held.clear();
    this.#forwarded.clear();
    for (const socket of this.#streams) socket.destroy();
    for (const socket of [this.#sockets.udp, this.#sockets.forward]) closeQuietly(() => socket.close());
    closeQuietly(() => this.#sockets.tcp.close());
  }

  /** One UDP query. */
  query(bytes: Buffer, address: string, port: number): void {
    const parsed = parseQuery(bytes);
    if (parsed.kind === 'ignored') return;
    if (parsed.kind === 'refused') return this.#send(parsed.reply, address, port);
    const { query } = parsed;
    this.#decide(query, (answer) => {
      if (answer.kind === 'forward') this.#forward(bytes, address, port);
      else this.#send(encodeAnswer(query, answer, query.udpLimitBytes), address, port);
    });
  }

  /** One client's TCP connection; belongs to the resolver from here on. */
  stream(socket: TcpSocket): void {
    if (!this.#alive) return void socket.destroy();
    serveDnsStream(socket, {
      clock: this.#clock,
      open: this.#streams,
      answer: (bytes) => this.#answerStream(bytes),
    });
  }

  /** More may be known now: looks at the held queries again. */
  recheck(): void {
    this.#cancelRecheck?.();
    this.#cancelRecheck = undefined;
    for (const held of [...this.#held]) {
      const answer = this.#answer(held.query);
      if (answer.kind === 'hold') continue;
      this.#held.delete(held);
      held.settle(answer);
    }
    if (this.#held.size > 0) this.#cancelRecheck = this.#clock.after(RECHECK_MS, () => this.recheck());
  }

  #decide(query: DnsQuery, settle: (answer: Answer) => void): void {
    this.#turn = (this.#turn + 1) >>> 0;
    const answer = this.#answer(query);
    if (answer.kind !== 'hold') return settle(answer);
    if (this.#held.size >= MOST_HELD) return;
    this.#held.add({ query, settle });
    this.#cancelRecheck ??= this.#clock.after(RECHECK_MS, () => this.recheck());
  }

  #answer(query: DnsQuery): Answer {
    const { networks, names, incomplete } = this.#options;
    return answerQuestion(query.question, {
      networks: networks(),
      names,
      incomplete: incomplete(),
      turn: this.#turn,
    });
  }

  #forward(bytes: Buffer, address: string, port: number): void {
    const id = this.#forwarded.add({ id: bytes.readUInt16BE(0), address, port });
    if (id === undefined) return;
    const copy = Buffer.from(bytes);
    copy.writeUInt16BE(id, 0);
    this.#sockets.forward.send(copy, ENGINE_RESOLVER.port, ENGINE_RESOLVER.address, () => undefined);
  }

  #relay(bytes: Buffer): void {
    if (bytes.length < 2) return;
    const client = this.#forwarded.take(bytes.readUInt16BE(0));
    if (client === undefined) return;
    const copy = Buffer.from(bytes);
    copy.writeUInt16BE(client.id, 0);
    this.#send(copy, client.address, client.port);
  }

  async #answerStream(bytes: Buffer): Promise<Buffer | undefined> {
    const parsed = parseQuery(bytes);
    if (parsed.kind !== 'query') return parsed.kind === 'refused' ? parsed.reply : undefined;
    const { query } = parsed;
    const answer = await new Promise<Answer>((resolve) => this.#decide(query, resolve));
    if (answer.kind !== 'forward') return encodeAnswer(query, answer, TCP_ANSWER_BYTES);
    try {
      return await askByStream(await this.#options.connect(), bytes, this.#clock);
    } catch {
      return encodeFailure(query);
    }
  }

  #send(bytes: Buffer, address: string, port: number): void {
    if (this.#alive) this.#sockets.udp.send(bytes, port, address, () => undefined);
  }

  #fail(error: Error): void {
    if (this.#alive) this.#log.warn({ error: error.message }, 'resolver socket failed');
    this.#alive = false;
  }
}

function closeQuietly(close: () => void): void {
  try {
    close();
  } catch {
    // Closed already: by its own failure.
  }
}
