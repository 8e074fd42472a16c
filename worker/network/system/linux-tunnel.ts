import { access } from 'node:fs/promises';
import { execa } from 'execa';
import { z } from 'zod';
import { assertNever } from '../../../proto/runtime/assert.ts';
import type { Clock } from '../../../proto/runtime/clock.ts';
import { messageOf, WaggleError } from '../../../proto/runtime/errors.ts';
import { TUNNEL_RANGE } from '../../../proto/objects/tunnel.ts';
import { GUARD_TABLE, guardRuleset, TUNNEL_DEVICE } from '../encryption/guard-ruleset.ts';
import type { TunnelCapability, TunnelFailure, TunnelKernel } from '../encryption/tunnel-kernel.ts';
import {
  emptyTunnel,
  type ObservedDevice,
  type ObservedTunnel,
  type TunnelOperation,
} from '../encryption/tunnel-state.ts';
import { command } from './command.ts';
import { readWireguardDump } from './wireguard-dump.ts';
import { WIREGUARD_GO, WireguardProcess } from './wireguard-process.ts';

/** A device made and removed to see whether the kernel has WireGuard; no tool tells otherwise, and it loads the module. */
const PROBE_DEVICE = 'wgwaggleprobe';
const INSTALL = 'Install it: apt-get install wireguard-go wireguard-tools';
const TIMEOUT_MS = 2_000;
/** Peers in one run of `wg`: its arguments have a limit. */
const PEERS_PER_RUN = 200;
/** Worse than any other route: it counts when the device is gone and its route with it. */
const BLACKHOLE_METRIC = '4278198272';
const ROUTE_METRIC = '10';
const ABSENT = /does not exist|Cannot find device|No such file or directory|No such process/;
const EXISTS = /File exists/;

const addressSchema = z.array(
  z.object({
    mtu: z.number(),
    flags: z.array(z.string()),
    addr_info: z.array(z.object({ family: z.string(), local: z.string().optional(), prefixlen: z.number() })),
  }),
);
const routeSchema = z.array(z.object({ type: z.string().optional(), dev: z.string().optional() }));

type PeerOperation = Extract<TunnelOperation, { kind: 'put-peer' | 'put-endpoint' | 'remove-peer' }>;

/** WireGuard through `wg`, which speaks to the kernel's and to wireguard-go alike; `ip` and `nft` for what is around it. */
export class LinuxTunnel implements TunnelKernel {
  readonly #process: WireguardProcess;
  /** The guard as the kernel lists what we have given it. */
  #guard: { listing: string; vxlanPort: number } | undefined;

  constructor(modules: { clock: Clock }) {
    this.#process = new WireguardProcess(modules);
  }

  onExit(listener: () => void): void {
    this.#process.onExit(listener);
  }

  async capability(): Promise<TunnelCapability> {
    if (!(await runs('wg', '--version'))) return lacking("the program 'wg' is missing");
    if (await kernelHasWireguard()) return { able: true, by: 'kernel' };
    if (!(await runs(WIREGUARD_GO, '--version'))) {
      return lacking(`its kernel has no WireGuard and the program '${WIREGUARD_GO}' is missing`);
    }
    try {
      await access('/dev/net/tun');
      return { able: true, by: 'wireguard-go' };
    } catch {
      return { able: false, reason: 'this host cannot encrypt: its kernel has no WireGuard and no /dev/net/tun' };
    }
  }

  async observe(): Promise<ObservedTunnel> {
    const [device, routes, guard] = await Promise.all([
      readDevice(),
      command('ip', ['-4', '-j', 'route', 'show', 'exact', TUNNEL_RANGE]),
      listGuard(),
    ]);
    const rows = routeSchema.parse(JSON.parse(routes.trim() === '' ? '[]' : routes));
    const isOurs = this.#guard !== undefined && guard === this.#guard.listing;
    return {
      ...emptyTunnel(),
      guard: guard === '' ? 'none' : isOurs ? (this.#guard?.vxlanPort ?? 'other') : 'other',
      blackhole: rows.some(({ type }) => type === 'blackhole'),
      route: rows.some(({ dev }) => dev === TUNNEL_DEVICE),
      ...(device === undefined ? {} : { device }),
    };
  }

  async apply(operations: readonly TunnelOperation[]): Promise<TunnelFailure | undefined> {
    for (let at = 0; at < operations.length; ) {
      const operation = operations[at];
      if (operation === undefined) break;
      const peers = peersFrom(operations, at);
      try {
        if (peers.length > 0) await setPeers(peers);
        else await this.#carryOut(operation);
      } catch (error) {
        return { operation, message: messageOf(error) };
      }
      at += Math.max(1, peers.length);
    }
    return undefined;
  }

  async #carryOut(operation: TunnelOperation): Promise<void> {
    switch (operation.kind) {
      case 'set-guard':
        await nft(guardRuleset(operation.vxlanPort));
        this.#guard = { listing: await listGuard(), vxlanPort: operation.vxlanPort };
        return;
      case 'delete-guard':
        return unless(ABSENT, nft(`delete table inet ${GUARD_TABLE}\n`));
      case 'add-blackhole':
        return unless(EXISTS, ip('route', 'add', 'blackhole', TUNNEL_RANGE, 'metric', BLACKHOLE_METRIC));
      case 'delete-blackhole':
        return unless(ABSENT, ip('route', 'del', 'blackhole', TUNNEL_RANGE, 'metric', BLACKHOLE_METRIC));
      case 'create-device':
        return this.#createDevice();
      case 'delete-device':
        await this.#process.end();
        return unless(ABSENT, ip('link', 'del', 'dev', TUNNEL_DEVICE));
      case 'set-key': {
        const { keyFile, port } = operation;
        return void (await command('wg', ['set', TUNNEL_DEVICE, 'private-key', keyFile, 'listen-port', String(port)]));
      }
      case 'put-peer':
      case 'put-endpoint':
      case 'remove-peer':
        return setPeers([operation]);
      case 'set-mtu':
        return ip('link', 'set', 'dev', TUNNEL_DEVICE, 'mtu', String(operation.mtu));
      case 'add-address':
        return unless(EXISTS, ip('addr', 'add', operation.address, 'dev', TUNNEL_DEVICE));
      case 'delete-address':
        return ip('addr', 'del', operation.address, 'dev', TUNNEL_DEVICE);
      case 'set-up':
        return ip('link', 'set', 'dev', TUNNEL_DEVICE, 'up');
      case 'add-route':
        return ip('route', 'replace', TUNNEL_RANGE, 'dev', TUNNEL_DEVICE, 'metric', ROUTE_METRIC);
      case 'greet':
        return greet(operation.publicKeys);
      default:
        return assertNever(operation);
    }
  }

  async #createDevice(): Promise<void> {
    // What a process that hangs, or died half way, has left would be in the way.
    await this.#process.end();
    try {
      await ip('link', 'add', TUNNEL_DEVICE, 'type', 'wireguard');
    } catch (error) {
      if (!/Unknown device type|not supported/i.test(messageOf(error))) throw error;
      await this.#process.start();
    }
  }
}

function lacking(what: string): TunnelCapability {
  return { able: false, reason: `this host cannot encrypt: ${what}. ${INSTALL}` };
}

async function kernelHasWireguard(): Promise<boolean> {
  try {
    await ip('link', 'add', PROBE_DEVICE, 'type', 'wireguard');
    await ip('link', 'del', 'dev', PROBE_DEVICE);
    return true;
  } catch {
    return false;
  }
}

async function runs(program: string, ...args: readonly string[]): Promise<boolean> {
  const result = await execa(program, args, { stdio: 'ignore', reject: false, timeout: TIMEOUT_MS });
  return !result.failed;
}

/** A device that does not answer is asked twice: the host may have been busy. */
async function readDevice(): Promise<ObservedDevice | undefined> {
  const link = await command('ip', ['-4', '-j', 'addr', 'show', 'dev', TUNNEL_DEVICE]).catch((error: unknown) => {
    if (ABSENT.test(messageOf(error))) return '[]';
    throw error;
  });
  const [row] = addressSchema.parse(JSON.parse(link));
  if (row === undefined) return undefined;
  const dump = (await dumpDevice()) ?? (await dumpDevice());
  const empty = { publicKey: '', port: 0, peers: new Map<string, never>() };
  return {
    answers: dump !== undefined,
    ...(dump === undefined ? empty : readWireguardDump(dump)),
    mtu: row.mtu,
    up: row.flags.includes('UP'),
    addresses: new Set(row.addr_info.map(({ local, prefixlen }) => `${local ?? ''}/${prefixlen}`)),
  };
}

/** Holds the private key: it goes to the reader and nowhere else. */
async function dumpDevice(): Promise<string | undefined> {
  const args = ['show', TUNNEL_DEVICE, 'dump'];
  const result = await execa('wg', args, { stdin: 'ignore', reject: false, timeout: TIMEOUT_MS });
  return result.failed ? undefined : result.stdout;
}

function peersFrom(operations: readonly TunnelOperation[], start: number): PeerOperation[] {
  const peers: PeerOperation[] = [];
  for (const operation of operations.slice(start, start + PEERS_PER_RUN)) {
    if (!isOfPeer(operation)) break;
    peers.push(operation);
  }
  return peers;
}

function isOfPeer(operation: TunnelOperation): operation is PeerOperation {
  return ['put-peer', 'put-endpoint', 'remove-peer'].includes(operation.kind);
}

async function setPeers(operations: readonly PeerOperation[]): Promise<void> {
  const words = operations.flatMap((operation) => {
    if (operation.kind === 'remove-peer') return ['peer', operation.publicKey, 'remove'];
    const { publicKey, endpoint, address } = operation.peer;
    const allowed = operation.kind === 'put-peer' ? ['allowed-ips', `${address}/32`] : [];
    return ['peer', publicKey, 'endpoint', endpoint, ...allowed];
  });
  await command('wg', ['set', TUNNEL_DEVICE, ...words]);
}

/** A keepalive goes out at once when it is asked for, and begins a session where there is none (wg(8), persistent-keepalive). */
async function greet(publicKeys: readonly string[]): Promise<void> {
  for (let start = 0; start < publicKeys.length; start += PEERS_PER_RUN) {
    const some = publicKeys.slice(start, start + PEERS_PER_RUN);
    for (const seconds of ['25', '0']) {
      const words = some.flatMap((publicKey) => ['peer', publicKey, 'persistent-keepalive', seconds]);
      await command('wg', ['set', TUNNEL_DEVICE, ...words]);
    }
  }
}

/** Without counters; empty when there is no such table. */
async function listGuard(): Promise<string> {
  return command('nft', ['-s', 'list', 'table', 'inet', GUARD_TABLE]).catch((error: unknown) => {
    if (ABSENT.test(messageOf(error))) return '';
    throw error;
  });
}

async function nft(ruleset: string): Promise<void> {
  const result = await execa('nft', ['-f', '-'], {
    input: ruleset,
    stdout: 'ignore',
    reject: false,
    timeout: TIMEOUT_MS,
  });
  if (result.failed) throw new WaggleError('internal', `nft: ${result.stderr || result.shortMessage}`);
}

async function ip(...args: readonly string[]): Promise<void> {
  await command('ip', args);
}

/** Swallows exactly the failure that means: it is so already. */
async function unless(expected: RegExp, work: Promise<void>): Promise<void> {
  await work.catch((error: unknown) => {
    if (!expected.test(messageOf(error))) throw error;
  });
}
