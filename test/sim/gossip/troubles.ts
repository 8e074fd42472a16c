import type { Membership, Network } from './measures.ts';

/** What a network or some of its nodes suffer from, as long as they are looked at. */
export interface Trouble {
  id: string;
  network?: Network;
  begin?(swarm: Membership): void;
}

const LOOK_MS = 250;

/** Every tenth node works for so long, then stands still for so long, not in step (Lifeguard 5, "interval" experiment). */
function standing(workMs: number, stillMs: number): (swarm: Membership) => void {
  return function look(swarm: Membership): void {
    everyTenth(swarm, (index) => {
      const at = (swarm.nowMs + index * 137) % (workMs + stillMs);
      if (at >= workMs) swarm.freeze(index);
      else swarm.thaw(index);
    });
    swarm.schedule(LOOK_MS, () => look(swarm));
  };
}

function slowness(ms: number): (swarm: Membership) => void {
  return (swarm) => everyTenth(swarm, (index) => swarm.slow(index, ms));
}

function everyTenth(swarm: Membership, act: (index: number) => void): void {
  for (let index = 0; index < swarm.size; index += 10) act(index);
}

export const HEAVY_LOSS: Trouble = { id: '25 % loss', network: { loss: 0.25 } };
export const STANDSTILLS: Trouble = {
  id: 'every tenth node stands still for 1 s of every 4 s',
  begin: standing(3_000, 1_000),
};
export const TROUBLES: readonly Trouble[] = [
  { id: 'none' },
  { id: '10 % loss', network: { loss: 0.1 } },
  HEAVY_LOSS,
  { id: 'delays of 50 ms on average', network: { meanJitterMs: 50 } },
  { id: 'delays of 200 ms on average', network: { meanJitterMs: 200 } },
  { id: 'every tenth node is slow by up to 400 ms', begin: slowness(400) },
  { id: 'every tenth node is slow by up to 3 s', begin: slowness(3_000) },
  STANDSTILLS,
  { id: 'every tenth node stands still for 2 s, works for 0.5 s', begin: standing(500, 2_000) },
  { id: 'every tenth node stands still for 10 s, works for 1 s', begin: standing(1_000, 10_000) },
];
