import { sleep, systemClock } from '../../proto/runtime/clock.ts';
import { eventually } from '../lab/eventually.ts';
import { TEST_IMAGE } from '../lab/image.ts';
import { IDLE_COMMAND } from './containers.ts';
import type { Side } from './side.ts';
import { filter } from './socket-api.ts';

const POLL_MS = 50;
const TIMEOUT_MS = 120_000;

export interface ServiceOptions {
  name: string;
  replicas: number;
  /** Name of an overlay network; none when absent. */
  network?: string;
}

/**
 * Creates a service and waits until all its tasks are seen running through the API, which is asked every 50 ms.
 * @returns milliseconds from sending the request.
 */
export async function createService(side: Side, options: ServiceOptions): Promise<number> {
  const began = systemClock.monotonic();
  const { ID } = await side.api.post<{ ID: string }>('/services/create', specOf(options));
  for (;;) {
    const asked = systemClock.monotonic();
    const running = await countRunning(side, ID);
    const now = systemClock.monotonic();
    if (running >= options.replicas) return now - began;
    if (now - began > TIMEOUT_MS) throw new Error(`${running} of ${options.replicas} tasks run after ${TIMEOUT_MS} ms`);
    await sleep(systemClock, Math.max(0, POLL_MS - (now - asked)));
  }
}

/** Removes the service and waits until no engine has a container of it. Harmless when there is none. */
export async function removeService(side: Side, name: string): Promise<void> {
  const found = await side.api.get<{ ID: string }[]>(`/services?${filter('name', name)}`);
  for (const { ID } of found) await side.api.delete(`/services/${ID}`);
  const ofService = filter('label', `com.docker.swarm.service.name=${name}`);
  await eventually(
    `containers of ${name} to be gone`,
    async () => {
      const left = await Promise.all(
        side.engines.map((engine) => engine.get<unknown[]>(`/containers/json?all=1&${ofService}`)),
      );
      return left.flat().length === 0;
    },
    { timeoutMs: TIMEOUT_MS },
  );
}

async function countRunning(side: Side, serviceId: string): Promise<number> {
  const tasks = await side.api.get<{ Status: { State: string } }[]>(`/tasks?${filter('service', serviceId)}`);
  return tasks.filter((task) => task.Status.State === 'running').length;
}

function specOf({ name, replicas, network }: ServiceOptions): unknown {
  return {
    Name: name,
    Mode: { Replicated: { Replicas: replicas } },
    TaskTemplate: {
      // `sleep` as the first process does not heed SIGTERM; nobody is to wait for it.
      ContainerSpec: { Image: TEST_IMAGE, Command: IDLE_COMMAND, StopSignal: 'SIGKILL' },
      ...(network === undefined ? {} : { Networks: [{ Target: network }] }),
    },
  };
}
