import type { PortStatus, TaskObject } from '../../proto/objects/task.ts';

type Port = NonNullable<PortStatus['Ports']>[number];

/** One port published on this node alone. */
export interface HostPort {
  /** `80/tcp`. */
  container: string;
  /** 0: the engine picks one. */
  published: number;
  name?: string;
}

/** The host-mode ports of a task, as the allocator settled them with its service. */
export function hostPorts(task: TaskObject): HostPort[] {
  const ports = task.Endpoint?.Ports ?? task.Endpoint?.Spec?.Ports ?? [];
  return ports
    .filter((port) => port.PublishMode === 'host')
    .map((port) => ({
      container: `${port.TargetPort ?? 0}/${port.Protocol ?? 'tcp'}`,
      published: port.PublishedPort ?? 0,
      ...(port.Name === undefined ? {} : { name: port.Name }),
    }));
}

/** What the engine says about published ports (`NetworkSettings.Ports`). */
export type EnginePorts = Record<string, { HostIp?: string; HostPort?: string }[] | null>;

/** The host-mode ports of a task as they really are; an address family more makes no port more. */
export function publishedPorts(task: TaskObject, enginePorts: EnginePorts): Port[] {
  return hostPorts(task).flatMap((port) => {
    const bound = new Set((enginePorts[port.container] ?? []).map((binding) => Number(binding.HostPort)));
    const [target = '', protocol = 'tcp'] = port.container.split('/');
    return [...bound]
      .filter((published) => port.published === 0 || port.published === published)
      .map((published) => ({
        ...(port.name === undefined ? {} : { Name: port.name }),
        Protocol: protocol as NonNullable<Port['Protocol']>,
        TargetPort: Number(target),
        PublishedPort: published,
        PublishMode: 'host' as const,
      }));
  });
}
