import { MEMBERLIST_LAN } from './memberlist-node.ts';
import { probePaceMs, suspicionMinMs, type SwimPreset } from '../../../worker/gossip/core/swim-preset.ts';

/** What the papers expect, beside what is measured. n: nodes; times in ms. */

/**
 * SWIM (Das, Gupta, Motivala 2002, section 3): n nodes that each probe one other per period leave one unprobed for a period with
 * probability (1 - 1/n)^n, so its failure is noticed in the e/(e - 1)th period on average. Periods are not in step: half of one less.
 */
export function firstProbeMs(paceMs: number): number {
  return (Math.E / (Math.E - 1) - 0.5) * paceMs;
}

/** The first probe's wait, its deadline, and the shortest suspicion (Lifeguard 4.2), which confirmations in time lead to. */
export function waggleDetectionMs(preset: SwimPreset, n: number): number {
  return firstProbeMs(probePaceMs(preset, n)) + preset.probeDeadlineMs + suspicionMinMs(preset, n);
}

/** The same of memberlist: config.go, suspicion.go. */
export function memberlistDetectionMs(n: number): number {
  const { probeIntervalMs, suspicionMult } = MEMBERLIST_LAN;
  const suspicionMs = suspicionMult * Math.max(1, Math.log10(n)) * probeIntervalMs;
  return firstProbeMs(probeIntervalMs) + probeIntervalMs + suspicionMs;
}

/** Bytes of a quiet node in a second: pings it sends and acks that it owes, each packet of so many bytes. */
export function quietBytes(paceMs: number, packetBytes: number): number {
  return ((2 * 1_000) / paceMs) * packetBytes;
}

/**
 * A record's way with f = ln n + 4 per hop (Kermarrec, Massoulie, Ganesh 2003): after h hops f^h nodes know it, so the last is
 * reached in log_f n hops and one more for those that are hit twice.
 */
export function spreadMs(n: number, directPeers: number, delayMs: number): number {
  if (n - 1 <= directPeers) return delayMs;
  return (Math.log(n) / Math.log(Math.log(n) + 4) + 1) * delayMs;
}

/** Rounds of networkdb (NETWORK.md 3.2): each node tells three; then those that are left. */
export function networkdbSpreadMs(n: number, gossipMs: number): number {
  return (Math.log(n) / Math.log(4) + Math.log(n) / 3) * gossipMs;
}
