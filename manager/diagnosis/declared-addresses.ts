import type { AttachmentObject } from '../../proto/objects/network.ts';
import { taskName } from '../../proto/objects/naming.ts';
import { isTerminal } from '../../proto/objects/task-state.ts';
import type { TaskObject } from '../../proto/objects/task.ts';

/** Who has an address according to the swarm's state. */
export interface AddressHolder {
  /** In words: `task web.1.abc`, `lease of a container`. */
  words: string;
  nodeId: string;
  /** The task runs: its container must be there. */
  running: boolean;
  lease: boolean;
}

/** Holders by `networkId address`, without prefix length; more than one is a fault. */
export type DeclaredAddresses = ReadonlyMap<string, readonly AddressHolder[]>;

/** Key of DeclaredAddresses; a prefix length does not count. */
export function addressKey(networkId: string, address: string): string {
  return `${networkId} ${bare(address)}`;
}

/** IPv4 first. */
export function addressesOf({ address, address6 }: { address: string; address6?: string }): string[] {
  return address6 === undefined ? [address] : [address, address6];
}

/** `10.0.0.5/24` to `10.0.0.5`. */
export function bare(address: string): string {
  return address.split('/', 1)[0] ?? address;
}

/** Pure: the addresses, of both families, of tasks that have not ended, and those leased for other containers. */
export function declaredAddresses(
  tasks: readonly TaskObject[],
  attachments: readonly AttachmentObject[],
): DeclaredAddresses {
  const declared = new Map<string, AddressHolder[]>();
  const add = (networkId: string, address: string, holder: AddressHolder): void => {
    const key = addressKey(networkId, address);
    declared.set(key, [...(declared.get(key) ?? []), holder]);
  };
  for (const task of tasks) {
    if (isTerminal(task.Status.State)) continue;
    const running = task.Status.State === 'running' && !isTerminal(task.DesiredState);
    const holder = { words: `task ${taskName(task)}`, nodeId: task.NodeID, running, lease: false };
    for (const { NetworkID, Addresses } of task.NetworksAttachments ?? []) {
      for (const address of Addresses) add(NetworkID, address, holder);
    }
  }
  for (const { NetworkID, NodeID, Address } of attachments) {
    add(NetworkID, Address, { words: 'lease of a container', nodeId: NodeID, running: false, lease: true });
  }
  return declared;
}
