import { LAN, probePaceMs, type SwimPreset } from '../../../worker/gossip/core/swim-preset.ts';
import { type Membership, memberlistSwarm, type Network, quietTraffic, waggleSwarm } from './measures.ts';
import { MEMBERLIST_LAN, type MemberlistConfig } from './memberlist-node.ts';
import { quietBytes } from './theory.ts';

/** A membership protocol with some figures, to be compared with another that sends as much. */
export interface Contender {
  name: string;
  swarm: (seed: number, network?: Network) => Membership;
}

/** A ping or an ack with nothing on it, and its headers: of SwimNode, of MemberlistNode. */
export const PING_BYTES = 91 + 42;
const MEMBERLIST_PING_BYTES = 60 + 42;
/** As patient with one that stands still as memberlist that suspects as long as Waggle: both declare it dead after 1.2 to 1.3 s. */
const HASTY: SwimPreset = { ...LAN, pingAgainMs: 30, probeTimeoutMs: 110, probeDeadlineMs: 240, suspicionMinMs: 1_000 };

/** In pairs and more of equal bandwidth, in a quiet network of so many without loss: first at memberlist's, then at Waggle's. */
export function contenders(size: number): Contender[] {
  const theirs = quietTraffic(memberlistSwarm(size, 1), size >= 1_000 ? 5 : 20).bytes;
  const ours = quietBytes(probePaceMs(LAN, size), PING_BYTES);
  const sparing: SwimPreset = { ...LAN, probesPerInterval: 1, probeIntervalMs: (2_000 * PING_BYTES) / theirs };
  const often = quietBytes(MEMBERLIST_LAN.probeIntervalMs, MEMBERLIST_PING_BYTES);
  const times = (ours - (theirs - often)) / often;
  const intervalMs = MEMBERLIST_LAN.probeIntervalMs / times;
  const lavish: MemberlistConfig = { ...MEMBERLIST_LAN, probeIntervalMs: intervalMs, probeTimeoutMs: intervalMs / 2 };
  const patient: MemberlistConfig = { ...lavish, suspicionMult: LAN.suspicionMinMs / intervalMs };
  const waggle = (preset?: SwimPreset): Contender['swarm'] => {
    return (seed, network) => waggleSwarm(size, seed, network, preset);
  };
  const memberlist = (config?: MemberlistConfig): Contender['swarm'] => {
    return (seed, network) => memberlistSwarm(size, seed, network, config);
  };
  return [
    { name: 'memberlist', swarm: memberlist() },
    { name: `Waggle, one probe every ${(sparing.probeIntervalMs / 1_000).toFixed(1)} s`, swarm: waggle(sparing) },
    { name: 'Waggle', swarm: waggle() },
    { name: `memberlist, probing ${times.toFixed(1)} times as often`, swarm: memberlist(lavish) },
    { name: 'the same, suspecting as long as Waggle', swarm: memberlist(patient) },
    { name: 'Waggle, as impatient as that', swarm: waggle(HASTY) },
  ];
}
