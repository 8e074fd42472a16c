/**
 * Runs inside a container's network namespace and reports when addresses and names come and go there. Orders (WatchOrder) are lines on
 * standard input; each is answered by one Sighting. Ends with its input.
 */
import { writeFileSync } from 'node:fs';
import os from 'node:os';
import { createInterface } from 'node:readline';
import { systemClock } from '../../../proto/runtime/clock.ts';
import { echoRequest } from '../../../worker/network/diagnosis/echo-packet.ts';
import { answeredAddress, arpRequest } from './arp.ts';
import { answersIn, dnsQuery } from './dns-query.ts';
import { arpSocket, connectUdp, icmpSocket, receiveNow, sendNow, socketAddress } from './libc-socket.ts';
import { machineMs, WATCHING, type WatchKind, type WatchOrder, watchOrder } from './watch-protocol.ts';

const EVERY_MS = 2;
/** Names are asked for less often: one that is not known costs the engine's resolver something. */
const NAME_EVERY_MS = 5;
/** Longer than any answer takes that still comes; the end is that of the last answer. */
const SILENCE_MS = 50;
/**
 * Between two ARP requests of this container for one address. With Linux's second an address that was asked for a moment too early would be
 * asked for again a second later, and it would be that second that is measured.
 */
const ARP_RETRY_MS = EVERY_MS;
const RESOLVER = '127.0.0.11';
const DNS_PORT = 53;
const ECHO_BYTES = 48;
const ECHO_REPLY = 0;
const SOURCE_AT = 12;

interface Watch {
  order: WatchOrder;
  /** drop, unname: when there was last an answer; to begin with, of the order, which is given when there are answers. */
  heardMs: number;
  /** name, unname: of the last query. */
  askedMs: number;
  queryId: number;
}

const watches: Record<WatchKind, Map<string, Watch>> = {
  reach: new Map(),
  hold: new Map(),
  drop: new Map(),
  name: new Map(),
  unname: new Map(),
};
const echo = icmpSocket();
const resolver = connectUdp(socketAddress(RESOLVER, DNS_PORT));
const arps = new Map<string, number>();
const marker = Buffer.from(`waggle${process.pid}`.slice(-8).padStart(8, '0'));
const bytes = Buffer.alloc(4_096);
const hurried = new Set<string>();
let sequence = 0;
let ticking = false;

/** Links that are new since the last time too. */
function hurryArp(): void {
  for (const link of Object.keys(os.networkInterfaces())) {
    if (hurried.has(link)) continue;
    hurried.add(link);
    writeFileSync(`/proc/sys/net/ipv4/neigh/${link}/retrans_time_ms`, String(ARP_RETRY_MS));
  }
}

function order(line: string): void {
  const each = watchOrder.parse(JSON.parse(line));
  watches[each.kind].set(each.target, { order: each, heardMs: machineMs(), askedMs: 0, queryId: 0 });
  if (!ticking) tick();
}

function seen({ order: { kind, target } }: Watch, atMs: number): void {
  watches[kind].delete(target);
  process.stdout.write(`${JSON.stringify({ kind, target, atMs })}\n`);
}

function tick(): void {
  ticking = true;
  hearEchoes();
  hearArp();
  hearNames();
  hurryArp();
  for (const kind of ['drop', 'unname'] as const) {
    for (const watch of watches[kind].values()) noteSilence(watch);
  }
  for (const { order: each } of watches.reach.values()) sendEcho(each.target);
  for (const watch of [...watches.hold.values(), ...watches.drop.values()]) askArp(watch);
  for (const watch of [...watches.name.values(), ...watches.unname.values()]) askName(watch);
  if (Object.values(watches).some((each) => each.size > 0)) systemClock.after(EVERY_MS, tick);
  else ticking = false;
}

function sendEcho(target: string): void {
  sequence = (sequence + 1) & 0xffff;
  sendNow(echo, echoRequest(marker, sequence, ECHO_BYTES, 4), socketAddress(target, 0));
}

function hearEchoes(): void {
  for (let length = receiveNow(echo, bytes); length > 0; length = receiveNow(echo, bytes)) {
    const header = (bytes.readUInt8(0) & 0x0f) * 4;
    if (bytes.readUInt8(header) !== ECHO_REPLY) continue;
    const watch = watches.reach.get([...bytes.subarray(SOURCE_AT, SOURCE_AT + 4)].join('.'));
    if (watch !== undefined) seen(watch, machineMs());
  }
}

/** An unknown name has no answer at all where there is no name server beyond. */
function noteSilence(watch: Watch): void {
  if (machineMs() - watch.heardMs > SILENCE_MS) seen(watch, watch.heardMs);
}

function askArp(watch: Watch): void {
  const { target } = watch.order;
  const link = linkTo(target);
  if (link === undefined) return;
  const known = arps.get(link.name) ?? arpSocket(link.name);
  arps.set(link.name, known);
  sendNow(known, arpRequest(link, target));
}

function hearArp(): void {
  for (const fd of arps.values()) {
    for (let length = receiveNow(fd, bytes); length > 0; length = receiveNow(fd, bytes)) {
      const address = answeredAddress(bytes.subarray(0, length)) ?? '';
      const [holding, dropping] = [watches.hold.get(address), watches.drop.get(address)];
      if (holding !== undefined) seen(holding, machineMs());
      if (dropping !== undefined) dropping.heardMs = machineMs();
    }
  }
}

/** The link on whose subnet the address is. */
function linkTo(target: string): { name: string; mac: string; address: string } | undefined {
  for (const [name, addresses = []] of Object.entries(os.networkInterfaces())) {
    for (const { family, address, netmask, mac } of addresses) {
      if (family === 'IPv4' && isSameNet(address, target, netmask)) return { name, mac, address };
    }
  }
  return undefined;
}

function isSameNet(one: string, other: string, netmask: string): boolean {
  const [a, b] = [one.split('.').map(Number), other.split('.').map(Number)];
  return netmask
    .split('.')
    .map(Number)
    .every((mask, index) => ((a[index] ?? 0) & mask) === ((b[index] ?? 0) & mask));
}

function askName(watch: Watch): void {
  const now = machineMs();
  if (now - watch.askedMs < NAME_EVERY_MS) return;
  sequence = (sequence + 1) & 0xffff;
  watch.askedMs = now;
  watch.queryId = sequence;
  sendNow(resolver, dnsQuery(sequence, watch.order.target));
}

function hearNames(): void {
  for (let length = receiveNow(resolver, bytes); length > 2; length = receiveNow(resolver, bytes)) {
    const id = bytes.readUInt16BE(0);
    if (answersIn(bytes.subarray(0, length), id) === 0) continue;
    for (const watch of watches.name.values()) if (watch.queryId === id) seen(watch, machineMs());
    for (const watch of watches.unname.values()) if (watch.queryId === id) watch.heardMs = machineMs();
  }
}

const lines = createInterface(process.stdin);
lines.on('line', order);
lines.on('close', () => process.exit(0));
process.stdout.write(`${WATCHING}\n`);
