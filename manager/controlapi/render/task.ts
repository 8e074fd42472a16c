import type { NetworkObject } from '../../../proto/objects/network.ts';
import type { TaskNetworkAttachment, TaskObject, TaskSpec } from '../../../proto/objects/task.ts';
import type { ReadTx } from '../../store/transaction.ts';
import type { ApiObject } from '../control-api.ts';
import { apiObject, defined, withLabels } from './api-object.ts';

/** The Engine API's Task, with the networks that it is on as they are now. */
export function renderTask(tx: ReadTx, task: TaskObject): ApiObject {
  return apiObject(task, {
    Labels: task.Labels ?? {},
    Spec: renderTaskSpec(task.Spec),
    ServiceID: orAbsent(task.ServiceID),
    Slot: task.Slot === 0 ? undefined : task.Slot,
    NodeID: orAbsent(task.NodeID),
    Status: { PortStatus: {}, ...task.Status },
    DesiredState: task.DesiredState,
    NetworksAttachments: task.NetworksAttachments?.map((attachment) => renderAttachment(tx, attachment)),
    GenericResources: task.GenericResources,
    JobIteration: task.JobIteration,
  });
}

/** What Docker always shows of a task's spec, given or not. */
export function renderTaskSpec(spec: TaskSpec): TaskSpec {
  const { RestartPolicy: restart } = spec;
  return {
    ...spec,
    ...(restart === undefined || restart === null
      ? {}
      : { RestartPolicy: { Condition: 'any', MaxAttempts: 0, ...restart } }),
    ForceUpdate: spec.ForceUpdate ?? 0,
    Runtime: orAbsent(spec.Runtime ?? '') ?? 'container',
  };
}

function renderAttachment(tx: ReadTx, attachment: TaskNetworkAttachment): object {
  const network = tx.get('networks', attachment.NetworkID);
  return {
    Network: network === undefined ? { ID: attachment.NetworkID } : renderAttachedNetwork(network),
    Addresses: attachment.Addresses,
  };
}

/** The network inside a task: the swarm's own form, not that of `GET /networks`. */
function renderAttachedNetwork(network: NetworkObject): object {
  const { Allocated } = network;
  return apiObject(network, {
    Spec: { ...withLabels(network.Spec), Scope: 'swarm' },
    DriverState: Allocated === undefined ? {} : { Name: Allocated.Driver, Options: Allocated.Options },
    IPAMOptions: defined({
      Driver: { Name: 'default' },
      Configs: Allocated?.Subnets.map(({ Subnet, Gateway }) => ({ Subnet, Gateway })),
    }),
  });
}

function orAbsent(text: string): string | undefined {
  return text === '' ? undefined : text;
}
