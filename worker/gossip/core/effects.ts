import type { Effects } from './message.ts';

export function noEffects(): Effects {
  return { sends: [], changed: new Set() };
}

export function append(effects: Effects, more: Effects): void {
  effects.sends.push(...more.sends);
  for (const networkId of more.changed) effects.changed.add(networkId);
}
