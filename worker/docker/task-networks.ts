import type Docker from 'dockerode';
import type { TaskNetworkAttachment, TaskObject } from '../../proto/objects/task.ts';
import { WaggleError } from '../../proto/runtime/errors.ts';

/** A swarm network under the name that it has on this node's engine. */
export interface LocalNetwork {
  networkId: string;
  name: string;
}

interface Placed {
  network: string;
  endpoint: Docker.EndpointSettings;
}

/** Networks that every engine has; a service may use them under these names. */
const PREDEFINED: ReadonlySet<string> = new Set(['bridge', 'host', 'none']);

/** The swarm networks that a task needs on this node, by ID, in the order of its attachments. */
export function overlayAttachments(task: TaskObject): TaskNetworkAttachment[] {
  return (task.NetworksAttachments ?? []).filter((attachment) => !PREDEFINED.has(attachment.NetworkID));
}

/**
 * Where the container goes: a predefined network is the mode itself, else the first overlay network is, else the
 * engine's default bridge. Every overlay network comes with the address that the allocator gave.
 * @throws WaggleError failed-precondition when a twin is missing in `networks`.
 */
export function taskNetworks(
  task: TaskObject,
  networks: readonly LocalNetwork[],
): { mode: string; first?: Placed; rest: Placed[] } {
  const placed = overlayAttachments(task).map((attachment) => {
    const network = networks.find((each) => each.networkId === attachment.NetworkID);
    if (network === undefined) {
      throw new WaggleError('failed-precondition', `network ${attachment.NetworkID} is not on this node`);
    }
    return { network: network.name, endpoint: endpointSettings(attachment) };
  });
  const predefined = predefinedNetwork(task);
  const [first, ...rest] = placed;
  if (predefined !== undefined) return { mode: predefined, rest: placed };
  if (first === undefined) return { mode: 'default', rest };
  return { mode: first.network, first, rest };
}

function predefinedNetwork(task: TaskObject): string | undefined {
  const asked = (task.Spec.Networks ?? []).map((network) => network.Target ?? '');
  const attached = (task.NetworksAttachments ?? []).map((attachment) => attachment.NetworkID);
  return [...asked, ...attached].find((name) => PREDEFINED.has(name));
}

function endpointSettings(attachment: TaskNetworkAttachment): Docker.EndpointSettings {
  const bare = attachment.Addresses.map((each) => each.split('/')[0] ?? each);
  const address = bare.find((each) => !each.includes(':'));
  const address6 = bare.find((each) => each.includes(':'));
  const aliases = attachment.Aliases ?? [];
  const options = attachment.DriverOpts ?? {};
  return {
    ...(address === undefined
      ? {}
      : { IPAMConfig: { IPv4Address: address, ...(address6 === undefined ? {} : { IPv6Address: address6 }) } }),
    ...(aliases.length > 0 ? { Aliases: aliases } : {}),
    ...(Object.keys(options).length > 0 ? { DriverOpts: options } : {}),
  };
}
