import type { ContainerSpec } from '../../../../proto/objects/task.ts';

const ALL = 'ALL';
/** Given to `service update`, it forgets what was set before. */
const RESET = 'RESET';

/** `net_admin` -> `CAP_NET_ADMIN`; ALL and RESET are words of their own. */
function normal(name: string): string {
  const upper = name.trim().toUpperCase();
  return upper === ALL || upper === RESET || upper.startsWith('CAP_') ? upper : `CAP_${upper}`;
}

/**
 * Changes the capabilities that a container gets beyond, and does not get of, the engine's default set. Dropping one that was added
 * only takes it off the added ones, and the other way round; of one that is both added and dropped now, adding wins.
 */
export function changeCapabilities(container: ContainerSpec, add: readonly string[], drop: readonly string[]): void {
  const adding = new Set(add.map(normal));
  const dropping = new Set(drop.map(normal));
  let added = adding.has(RESET) || dropping.has(RESET) ? [] : (container.CapabilityAdd ?? []).map(normal);
  let dropped = adding.has(RESET) || dropping.has(RESET) ? [] : (container.CapabilityDrop ?? []).map(normal);
  for (const name of dropping) {
    if (name === RESET || adding.has(name)) continue;
    if (added.includes(name)) added = added.filter((each) => each !== name);
    else dropped.push(name);
  }
  for (const name of adding) {
    if (name === RESET) continue;
    if (dropped.includes(name)) dropped = dropped.filter((each) => each !== name);
    else added.push(name);
  }
  write(container, 'CapabilityAdd', added);
  write(container, 'CapabilityDrop', dropped);
}

function write(container: ContainerSpec, field: 'CapabilityAdd' | 'CapabilityDrop', names: readonly string[]): void {
  if (names.length === 0) delete container[field];
  else container[field] = names.includes(ALL) ? [ALL] : [...new Set(names)].toSorted();
}
