import { readFileSync } from 'node:fs';
import type { Bench, BenchContext } from './bench.ts';
import { tcpThroughput, udpThroughput } from './iperf-report.ts';
import type { Contender, Metric } from './ledger.ts';
import { withLimitedLinks } from './limited-links.ts';
import type { PlacePair, StopServer } from './place.ts';
import type { RoundCase } from './rounds.ts';

const TCP_SECONDS = 5;
const UDP_SECONDS = 3;
const UDP_BYTES = 1400;
const WINDOW_BYTES = 1 << 20;
/** The lab's own links are as fast as its processor, which then is all that is measured. Gbit/s. */
const LINKS = [5, 10];
const LISTENING = 'Server listening';

const TCP: Metric = { name: 'throughput tcp, one stream', unit: 'Gbit/s', better: 'more' };
const TCP_ENCRYPTED: Metric = { name: 'throughput tcp, encrypted network', unit: 'Gbit/s', better: 'more' };
const UDP: Metric = { name: `throughput udp, ${UDP_BYTES} B, received`, unit: 'Gbit/s', better: 'more' };
const LOST: Metric = { name: `throughput udp, ${UDP_BYTES} B, lost`, unit: '%', better: 'less' };

/** Container to container and host to host with iperf3. */
export const throughput: Bench = {
  name: 'throughput',
  summary: `iperf3 across two hosts, container to container (bare: host to host), TCP ${TCP_SECONDS} s, at full speed and by links of ${LINKS.join(' and ')} Gbit/s, and UDP ${UDP_SECONDS} s`,
  weight: 26,
  async run(context) {
    const window = windowFlags();
    const said = window.length > 0 ? 'a window of 1 MB' : "the kernel's own window: it does not allow 1 MB";
    context.ledger.note(`throughput: iperf3 with ${said}`);
    const stops: StopServer[] = [];
    try {
      const serve = async ({ server }: PlacePair): Promise<void> => {
        stops.push(await server.serve(['iperf3', '-s', '--forceflush'], LISTENING));
      };
      const casesOf = (contender: Contender, pair: PlacePair): RoundCase[] => [
        { id: `throughput tcp ${contender}`, measure: () => tcpRound(context, contender, pair, window) },
        { id: `throughput udp ${contender}`, measure: () => udpRound(context, contender, pair, window) },
        ...LINKS.map((link) => ({
          id: `throughput tcp links of ${link} ${contender}`,
          measure: () => limitedRound(context, contender, pair, [link, window]),
        })),
      ];
      const pairs = await context.stage.pairs();
      for (const [, pair] of pairs) await serve(pair);
      await context.interleave(pairs.flatMap(([contender, pair]) => casesOf(contender, pair)));
      await context.stage.withOwnPair('routed', async (routed) => {
        await serve(routed);
        const bare = pairs.filter(([contender]) => contender === 'bare');
        await context.interleave([...casesOf('routed', routed), ...bare.flatMap(([, pair]) => casesOf('bare', pair))]);
      });
      await context.stage.withOwnPair('encrypted', async (encrypted) => {
        await serve(encrypted);
        const measure = (): Promise<void> => encryptedRound(context, encrypted, window);
        await context.interleave([{ id: 'throughput tcp encrypted', measure }]);
      });
    } finally {
      for (const stop of stops) await stop();
    }
  },
};

async function tcpRound(
  { ledger, say }: BenchContext,
  contender: Contender,
  pair: PlacePair,
  window: readonly string[],
): Promise<void> {
  const gigabits = tcpThroughput(await iperf(pair, ['-t', String(TCP_SECONDS), ...window]));
  ledger.add(TCP, contender, gigabits);
  say(`${contender}: TCP ${gigabits.toFixed(2)} Gbit/s`);
}

async function limitedRound(
  { ledger, say }: BenchContext,
  contender: Contender,
  pair: PlacePair,
  [link, window]: [link: number, window: readonly string[]],
): Promise<void> {
  const hosts = [pair.client.host, pair.server.host];
  const report = await withLimitedLinks(hosts, link, () => iperf(pair, ['-t', String(TCP_SECONDS), ...window]));
  const gigabits = tcpThroughput(report);
  const name = `throughput tcp, links of ${link} Gbit/s`;
  ledger.add({ name, unit: 'Gbit/s', better: 'more' }, contender, gigabits);
  say(`${contender}: TCP ${gigabits.toFixed(2)} Gbit/s by links of ${link} Gbit/s`);
}

async function encryptedRound(
  { ledger, say }: BenchContext,
  pair: PlacePair,
  window: readonly string[],
): Promise<void> {
  const gigabits = tcpThroughput(await iperf(pair, ['-t', String(TCP_SECONDS), ...window]));
  ledger.add(TCP_ENCRYPTED, 'waggle', gigabits);
  say(`waggle, encrypted: TCP ${gigabits.toFixed(2)} Gbit/s`);
}

async function udpRound(
  { ledger, say }: BenchContext,
  contender: Contender,
  pair: PlacePair,
  window: readonly string[],
): Promise<void> {
  const flags = ['-u', '-b', '0', '-l', String(UDP_BYTES), '-t', String(UDP_SECONDS), ...window];
  const { gigabits, lostPercent } = udpThroughput(await iperf(pair, flags));
  ledger.add(UDP, contender, gigabits);
  ledger.add(LOST, contender, lostPercent);
  say(`${contender}: UDP ${gigabits.toFixed(2)} Gbit/s received, ${lostPercent.toFixed(1)} % lost`);
}

async function iperf({ client, server }: PlacePair, flags: readonly string[]): Promise<string> {
  const { stdout } = await client.run(['iperf3', '-J', '-c', server.address, ...flags], {
    check: false,
    timeoutMs: 30_000,
  });
  return stdout;
}

/** iperf3 refuses to run with a window that the kernel cuts. */
function windowFlags(): string[] {
  const limits = ['rmem_max', 'wmem_max'].map((name) => Number(readFileSync(`/proc/sys/net/core/${name}`, 'utf8')));
  return Math.min(...limits) >= WINDOW_BYTES ? ['-w', String(WINDOW_BYTES)] : [];
}
