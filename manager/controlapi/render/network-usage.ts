import { taskName } from '../../../proto/objects/naming.ts';
import type { Json } from '../../../proto/objects/meta.ts';
import type { NetworkObject } from '../../../proto/objects/network.ts';
import type { NodeObject } from '../../../proto/objects/node.ts';
import type { ServiceObject } from '../../../proto/objects/service.ts';
import type { TaskObject } from '../../../proto/objects/task.ts';
import type { ReadTx } from '../../store/transaction.ts';

const SHORT_ID = 12;

/** Nodes on which the network is in use, or any may be (attachable): `{Name, IP}` of their overlay end. */
export function renderPeers(tx: ReadTx, network: NetworkObject): Json {
  const nodeIds = new Set([
    ...liveTasks(tx, network.ID).map((task) => task.NodeID),
    ...tx.find('attachments', 'network', network.ID).map((attachment) => attachment.NodeID),
  ]);
  return [...tx.all('nodes')]
    .filter((node) => node.Status.State === 'ready' && (network.Spec.Attachable === true || nodeIds.has(node.ID)))
    .map((node) => ({ Name: node.ID.slice(0, SHORT_ID), IP: addressOf(node) }));
}

/** The services on the network with their tasks, by name, as `network inspect --verbose` shows them. */
export function renderServices(tx: ReadTx, network: NetworkObject): Json {
  const tasks = liveTasks(tx, network.ID);
  const services = tx.find('services', 'network', network.ID);
  return Object.fromEntries(
    services.map((service) => [
      service.Spec.Name,
      {
        VIP: virtualIp(service, network.ID),
        Ports: [],
        LocalLBIndex: 0,
        Tasks: tasks.filter((task) => task.ServiceID === service.ID).map((task) => renderTask(tx, task, network.ID)),
      },
    ]),
  );
}

function liveTasks(tx: ReadTx, networkId: string): TaskObject[] {
  return tx.find('tasks', 'network', networkId).filter((task) => task.Status.State === 'running');
}

function virtualIp(service: ServiceObject, networkId: string): string {
  const found = service.Endpoint?.VirtualIPs?.find((candidate) => candidate.NetworkID === networkId);
  return withoutPrefix(found?.Addr);
}

function renderTask(tx: ReadTx, task: TaskObject, networkId: string): Json {
  const attachment = task.NetworksAttachments?.find((candidate) => candidate.NetworkID === networkId);
  const node = tx.get('nodes', task.NodeID);
  return {
    Name: taskName(task),
    EndpointID: '',
    EndpointIP: withoutPrefix(attachment?.Addresses[0]),
    Info: { 'Host IP': node === undefined ? '' : addressOf(node) },
  };
}

function withoutPrefix(cidr: string | undefined): string {
  return cidr?.split('/')[0] ?? '';
}

function addressOf(node: NodeObject): string {
  return node.DataPathAddr ?? node.Status.Addr ?? '';
}
