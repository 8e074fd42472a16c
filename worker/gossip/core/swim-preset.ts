/**
 * Every figure of failure detection. n: members that are not known to be dead, this node included; s: this node's
 * health multiplier. Formulas: SWIM (Das, Gupta, Motivala, DSN 2002) section 3 and 4; Lifeguard (Dadgar, Phillips,
 * Currey, DSN-W 2018) section 4; scaling of push/pull as memberlist has it.
 */
export interface SwimPreset {
  /** SWIM's protocol period T'. Stretched to T' * (s + 1) (Lifeguard, LHA-Probe). */
  probeIntervalMs: number;
  /** Probes begun in one period: min(this, ceil((n - 1) / 2)), so that in a small swarm every node is probed by every other about once in 2 T'. */
  probesPerInterval: number;
  /**
   * A ping without ack is sent again this often until the deadline: at 25 % loss one round trip in two fails, nine in a row one in 1,700.
   * Less often when three quarters of the round trips seen lately take longer; and times (s + 1), as the next two.
   */
  pingAgainMs: number;
  /** Wait for the direct ack before others are asked: this, or twice what three quarters of the round trips take. */
  probeTimeoutMs: number;
  /** From the first ping until the target is suspected; stretched as the wait for the direct ack. Leaves an indirect round its own time-out. */
  probeDeadlineMs: number;
  /** SWIM's k: nodes that are asked to ping for us. */
  indirectProbes: number;
  /** A helper says that it had no answer (nack) after this part of probeTimeoutMs (Lifeguard 4.1). */
  nackAfter: number;
  /** While there is news: how often it is passed on, and to how many. Fresh news waits for it only while there is much. */
  gossipIntervalMs: number;
  gossipFanout: number;
  /** Each node sends one piece of news mult * ceil(log10(n + 1)) times (SWIM 4.1: lambda log n). */
  retransmitMult: number;
  /** Shortest suspicion: this * max(1, log10 n). */
  suspicionMinMs: number;
  /** Longest suspicion, without confirmation: this * the shortest. */
  suspicionMaxMult: number;
  /** Lifeguard's K: independent confirmations that bring the time-out down to the shortest; at most n - 2. */
  confirmations: number;
  /** About so many nodes probe a new suspect out of turn, to confirm or to clear. */
  confirmingProbes: number;
  /** Least time between two comparisons of all states over TCP: this * (ceil(log2 n - 5) + 1) above 32 nodes. */
  pushPullIntervalMs: number;
  /** One dead member, at random, is pinged this often: so two halves of a mended partition find each other. */
  reconnectIntervalMs: number;
  /** The dead are told the news this long: one that is not dead can object. */
  gossipToDeadMs: number;
  /** A member that objects is waited for as if s were (s + 1) * (its objections + 1) - 1; so long after the last there counts one less. */
  objectionFadeMs: number;
  /** Greatest s (Lifeguard's S), whatever stretches times. */
  awarenessMax: number;
  /** A timer that is later than this means that the node itself stood still: its deadlines are moved. */
  stallMs: number;
}

/**
 * One data centre: round trips under 20 ms. A killed node is dead for all within T1 + 0.45 s + 1.2 s + spreading, T1 being the
 * wait for its first probe (at most 2 T' = 1 s in a small swarm); one that is frozen for 1 s objects in time, as no verdict comes before 1.65 s.
 */
export const LAN: SwimPreset = {
  probeIntervalMs: 500,
  probesPerInterval: 4,
  pingAgainMs: 50,
  probeTimeoutMs: 200,
  probeDeadlineMs: 450,
  indirectProbes: 3,
  nackAfter: 0.8,
  gossipIntervalMs: 100,
  gossipFanout: 4,
  retransmitMult: 4,
  suspicionMinMs: 1_200,
  suspicionMaxMult: 4,
  confirmations: 3,
  confirmingProbes: 8,
  pushPullIntervalMs: 5_000,
  reconnectIntervalMs: 1_000,
  gossipToDeadMs: 30_000,
  objectionFadeMs: 30_000,
  awarenessMax: 8,
  stallMs: 50,
};

/** Round trips up to 300 ms: time-outs are some of them, and everything else grows with the time-outs. */
export const WAN: SwimPreset = {
  ...LAN,
  probeIntervalMs: 2_000,
  pingAgainMs: 500,
  probeTimeoutMs: 1_000,
  probeDeadlineMs: 2_500,
  gossipIntervalMs: 250,
  suspicionMinMs: 6_000,
  pushPullIntervalMs: 20_000,
  reconnectIntervalMs: 2_000,
  gossipToDeadMs: 60_000,
};

/** All nodes on one machine, as in tests: round trips under 1 ms, but processors that are shared. */
export const LOCAL: SwimPreset = {
  ...LAN,
  probeIntervalMs: 200,
  pingAgainMs: 20,
  probeTimeoutMs: 80,
  probeDeadlineMs: 200,
  gossipIntervalMs: 50,
  suspicionMinMs: 500,
  pushPullIntervalMs: 2_000,
  reconnectIntervalMs: 500,
};

/** How often each node sends one piece of news. */
export function retransmitLimit(preset: SwimPreset, members: number): number {
  return preset.retransmitMult * Math.ceil(Math.log10(members + 1));
}

/** Shortest suspicion in a swarm of so many. */
export function suspicionMinMs(preset: SwimPreset, members: number): number {
  return preset.suspicionMinMs * Math.max(1, Math.log10(members));
}

/** Time between the beginnings of two probes, at s = 0. */
export function probePaceMs(preset: SwimPreset, members: number): number {
  return preset.probeIntervalMs / Math.max(1, Math.min(preset.probesPerInterval, Math.ceil((members - 1) / 2)));
}

/** Least time between two comparisons of all states. */
export function pushPullMs(preset: SwimPreset, members: number): number {
  return preset.pushPullIntervalMs * (members <= 32 ? 1 : Math.ceil(Math.log2(members) - 5) + 1);
}
