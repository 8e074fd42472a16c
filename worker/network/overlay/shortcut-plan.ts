import { lowerName, portOf } from './link-names.ts';
import {
  type DesiredOverlay,
  type ObservedOverlay,
  type Operation,
  type Shortcut,
  shortcutKey,
} from './overlay-state.ts';

/*
 * The shortcut of a routed network. On the bare way (routed-plan.ts) a packet changes from one veth to its other end four times between two
 * containers, and each time it waits in a queue of the kernel for its turn. A container with a shortcut has a macvlan (mode passthru) on the
 * *lower link*, which is the host's end of the port on the bridge:
 *
 *   container eth0 (macvlan) -- wgl… (host) ==veth== veth… (namespace) -- br0
 *
 * What leaves for a container that the table has a route to is sent on by a chain at the lower link's egress hook, with the same MACs as on
 * the bare way; all else goes to the bridge as ever. What comes in for the container is handed to the lower link by the underlay's ingress
 * (redirect/), and has its sender checked by a chain at the lower link's ingress hook. Neither way has a queue that bare hosts have not.
 *
 * It shortens ways that are there without it. A step that is not done yet, or a kernel that cannot do it, costs speed and nothing else.
 *
 * A link in passthru mode gives its lower link its own MAC, and BARE_MAC back when it goes (Linux drivers/net/macvlan.c): so the host sees
 * whether the container still has its link.
 */

/** Of a lower link that no container's link lies on. Locally administered; the pair is a segment of its own, so all have the same. */
export const BARE_MAC = '0e:77:61:67:67:6c';

/** The ports by which a container is reached: those whose container has lost its end are none. */
export function boundPorts({ ports, route }: ObservedOverlay): Pick<ReadonlyMap<string, unknown>, 'has'> {
  const bare = new Set([...route.lowers].filter(([, { mac }]) => mac === BARE_MAC).map(([lower]) => portOf(lower)));
  return { has: (port) => ports.has(port) && !bare.has(port) };
}

/** Lower links are made with their ports; what is left is to keep them up and as large as these. */
export function planLowers(desired: DesiredOverlay, { route }: ObservedOverlay): Operation[] {
  return desired.local.flatMap(({ endpointId }): Operation[] => {
    const lower = lowerName(endpointId);
    const found = route.lowers.get(lower);
    const isRight = found === undefined || (found.up && found.mtu === desired.mtu);
    return isRight ? [] : [{ kind: 'set-lower', lower, mtu: desired.mtu }];
  });
}

/** The chains of the lower links; to be done when the table is there. @param have of a table that was just made: none. */
export function planShortcuts(
  desired: DesiredOverlay,
  { route }: ObservedOverlay,
  have: ReadonlyMap<string, string>,
): Operation[] {
  const wanted = wantedShortcuts(desired, route.lowers);
  const operations: Operation[] = [];
  for (const lower of have.keys()) if (!wanted.has(lower)) operations.push({ kind: 'delete-shortcut', lower });
  for (const [lower, shortcut] of wanted) {
    if (have.get(lower) !== shortcutKey(shortcut)) operations.push({ kind: 'put-shortcut', lower, ...shortcut });
  }
  return operations;
}

function wantedShortcuts(
  { local, route, hasShortcuts }: DesiredOverlay,
  lowers: { has(lower: string): boolean },
): Map<string, Shortcut> {
  const wanted = new Map<string, Shortcut>();
  if (route === undefined || hasShortcuts !== true) return wanted;
  const { underlay } = route;
  for (const { endpointId, mac, address, address6 } of local) {
    const lower = lowerName(endpointId);
    if (!lowers.has(lower)) continue;
    wanted.set(lower, { mac, address, ...(address6 === undefined ? {} : { address6 }), underlay });
  }
  return wanted;
}
