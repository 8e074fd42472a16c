/**
 * Runs inside a network namespace and prints one line of JSON (ProbeReport):
 * `serve PORT` · `round-trips IP PORT COUNT` · `connections IP PORT SECONDS` · `lookups NAME COUNT`.
 */
import { systemClock } from '../../../proto/runtime/clock.ts';
import { percentile } from '../percentiles.ts';
import { answersIn, dnsQuery } from './dns-query.ts';
import {
  acceptTcp,
  closeSocket,
  connectTcp,
  connectUdp,
  listenTcp,
  receive,
  sendAll,
  socketAddress,
} from './libc-socket.ts';
import type { ProbeReport } from './probe-report.ts';

const RESOLVER = '127.0.0.11';
const DNS_PORT = 53;
/** Not counted: compiling, caches, the first ARP and conntrack entries. */
const WARM_UP = 200;
const MAX_CONNECTIONS = 1_000_000;

const [command, ...args] = process.argv.slice(2);
const [target = '', second = '', third = ''] = args;
if (command === 'serve') serve(Number(target));
else if (command === 'round-trips') print(roundTrips(socketAddress(target, Number(second)), Number(third)));
else if (command === 'connections') print(connections(socketAddress(target, Number(second)), Number(third) * 1000));
else if (command === 'lookups') print(lookups(target, Number(second)));
else throw new Error(`unknown command ${command}`);

/** Sends every byte back, one connection after another. */
function serve(port: number): never {
  const listener = listenTcp(port);
  process.stdout.write('ready\n');
  const bytes = Buffer.alloc(512);
  for (;;) {
    const fd = acceptTcp(listener);
    for (let length = receive(fd, bytes); length > 0; length = receive(fd, bytes)) {
      if (!sendAll(fd, bytes, length)) break;
    }
    closeSocket(fd);
  }
}

function roundTrips(address: Buffer, count: number): ProbeReport {
  const fd = connectTcp(address);
  const byte = Buffer.alloc(1);
  return timed({ count, endMs: Number.POSITIVE_INFINITY }, () => exchange(fd, byte));
}

function connections(address: Buffer, endMs: number): ProbeReport {
  const byte = Buffer.alloc(1);
  return timed({ count: MAX_CONNECTIONS, endMs }, () => {
    const fd = connectTcp(address);
    exchange(fd, byte);
    closeSocket(fd);
  });
}

/** Each look-up from a port of its own, as the C library does it. */
function lookups(name: string, count: number): ProbeReport {
  const address = socketAddress(RESOLVER, DNS_PORT);
  const answer = Buffer.alloc(4_096);
  let id = 0;
  return timed({ count, endMs: Number.POSITIVE_INFINITY }, () => {
    id = (id + 1) & 0xffff;
    const query = dnsQuery(id, name);
    const fd = connectUdp(address);
    if (!sendAll(fd, query, query.length)) throw new Error('the query could not be sent');
    const length = receive(fd, answer);
    closeSocket(fd);
    if (length <= 0 || answersIn(answer.subarray(0, length), id) === 0) throw new Error(`no address for ${name}`);
  });
}

function exchange(fd: number, byte: Buffer): void {
  if (!sendAll(fd, byte, 1) || receive(fd, byte) !== 1) throw new Error('the connection broke');
}

function timed(limit: { count: number; endMs: number }, act: () => void): ProbeReport {
  for (let index = 0; index < Math.min(WARM_UP, limit.count); index++) act();
  const samples: number[] = [];
  const began = systemClock.monotonic();
  let last = began;
  while (samples.length < limit.count && last - began < limit.endMs) {
    act();
    const now = systemClock.monotonic();
    samples.push((now - last) * 1000);
    last = now;
  }
  return {
    count: samples.length,
    perSecond: (samples.length / (last - began)) * 1000,
    p50Us: percentile(samples, 50),
    p99Us: percentile(samples, 99),
  };
}

function print(report: ProbeReport): void {
  process.stdout.write(`${JSON.stringify(report)}\n`);
}
