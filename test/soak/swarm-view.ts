import type { NetworkObject } from '../../proto/objects/network.ts';
import type { ServiceObject } from '../../proto/objects/service.ts';
import type { TaskObject } from '../../proto/objects/task.ts';
import type { Host } from '../lab/host.ts';
import { apiJson } from '../lab/swarm.ts';
import type { EngineContainer } from './engine-containers.ts';
import type { KnownService } from './inventory.ts';
import { different, type SoakNetwork } from './kernel-rows.ts';

/** What the managers have. */
export interface SwarmView {
  networks: SoakNetwork[];
  services: ServiceObject[];
  tasks: TaskObject[];
}

interface ListedNetwork {
  Id: string;
  Name: string;
  Driver: string;
  Scope: string;
  Options?: NonNullable<NetworkObject['Spec']['DriverConfiguration']>['Options'];
}

export async function swarmView(manager: Host): Promise<SwarmView> {
  const [networks, services, tasks] = await Promise.all([
    apiJson<ListedNetwork[]>(manager, 'GET', '/networks'),
    apiJson<ServiceObject[]>(manager, 'GET', '/services'),
    apiJson<TaskObject[]>(manager, 'GET', '/tasks'),
  ]);
  return {
    networks: networks
      .filter(({ Scope, Driver }) => Scope === 'swarm' && Driver === 'overlay')
      .map(({ Id, Name, Options }) => ({
        id: Id,
        name: Name,
        routed: Options?.['waggle.datapath'] === 'routed',
      })),
    services,
    tasks,
  };
}

/** Every service has as many running tasks as it should, and the engines run their containers and no other task's. @returns what is not so. */
export function serviceDifferences(
  { services, tasks }: SwarmView,
  known: ReadonlyMap<string, KnownService>,
  nodes: number,
  containers: readonly EngineContainer[],
): string[] {
  const running = tasks.filter((task) => task.DesiredState === 'running' && task.Status.State === 'running');
  const counts = services.flatMap(({ ID, Spec }) => {
    const count = running.filter(({ ServiceID }) => ServiceID === ID).length;
    const declared = Spec.Mode?.Replicated?.Replicas ?? nodes;
    const asked = known.get(Spec.Name)?.replicas;
    const wrong = asked !== undefined && asked !== 'global' && asked !== declared;
    return [
      ...(wrong ? [`service ${Spec.Name} is declared with ${declared} replicas after it was scaled to ${asked}`] : []),
      ...(count === declared ? [] : [`service ${Spec.Name} has ${count} of ${declared} tasks: ${statesOf(tasks, ID)}`]),
    ];
  });
  const wanted = running.map(({ Status }) => Status.ContainerStatus?.ContainerID ?? 'unknown');
  const present = containers.filter((each) => each.running && each.taskId !== '').map(({ id }) => id);
  return [...counts, ...different('containers of tasks', wanted, present)];
}

function statesOf(tasks: readonly TaskObject[], serviceId: string): string {
  const own = tasks.filter(({ ServiceID }) => ServiceID === serviceId);
  const words = own.map(({ DesiredState, Status }) => `${DesiredState}/${Status.State} ${Status.Err ?? ''}`.trim());
  return words.slice(-8).join(', ');
}
