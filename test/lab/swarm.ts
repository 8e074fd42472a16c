import { request } from 'node:http';
import type { NodeObject } from '../../proto/objects/node.ts';
import type { ServiceSpec } from '../../proto/objects/service.ts';
import type { TaskObject } from '../../proto/objects/task.ts';
import { eventually } from './eventually.ts';
import type { Host } from './host.ts';
import { TEST_IMAGE } from './image.ts';
import type { Lab } from './lab.ts';

export interface Answer {
  status: number;
  /** The body when it is no JSON. */
  text: string;
  json: unknown;
}

/** One request to the API of a host's daemon; a body that is a text goes as it is. Never throws for an HTTP status. */
export function api(host: Host, method: string, path: string, body?: unknown): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = { 'Content-Type': 'application/json', Host: 'docker' };
    const call = request({ socketPath: host.waggleSocket, method, path, headers, timeout: 60_000 }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => resolve(answerOf(response.statusCode ?? 0, Buffer.concat(chunks).toString('utf8'))));
      response.on('error', reject);
    });
    call.on('error', reject);
    call.on('timeout', () => call.destroy(new Error(`${method} ${path}: no answer`)));
    call.end(body === undefined || typeof body === 'string' ? body : JSON.stringify(body));
  });
}

function answerOf(status: number, text: string): Answer {
  try {
    return { status, text, json: JSON.parse(text) };
  } catch {
    return { status, text, json: undefined };
  }
}

/** The JSON of a request that must succeed. @throws Error with what was answered instead. */
export async function apiJson<T>(host: Host, method: string, path: string, body?: unknown): Promise<T> {
  const answer = await api(host, method, path, body);
  if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${answer.text}`);
  return answer.json as T;
}

/** Makes the first host the manager and all others its workers. */
export async function initSwarm(lab: Lab): Promise<void> {
  const [manager, ...workers] = lab.hosts;
  if (manager === undefined) throw new Error('the lab has no host');
  await manager.waggle(['swarm', 'init', '--advertise-addr', manager.address]);
  for (const worker of workers) await joinSwarm(worker, manager);
}

export async function joinSwarm(worker: Host, manager: Host): Promise<void> {
  const { stdout: token } = await manager.waggle(['swarm', 'join-token', '-q', 'worker']);
  await worker.waggle(['swarm', 'join', '--token', token.trim(), `${manager.address}:2377`]);
}

/** Creates a service of the test image without waiting for it. @returns its ID. */
export async function createService(
  manager: Host,
  name: string,
  args: readonly string[],
  spec: Omit<ServiceSpec, 'Name' | 'TaskTemplate'> & { TaskTemplate?: ServiceSpec['TaskTemplate'] } = {},
): Promise<string> {
  const { TaskTemplate: template, ...rest } = spec;
  const TaskTemplate = { ContainerSpec: { Image: TEST_IMAGE, Args: [...args], StopGracePeriod: 1e9 }, ...template };
  const created = await apiJson<{ ID: string }>(manager, 'POST', '/services/create', {
    Name: name,
    ...rest,
    TaskTemplate,
  });
  return created.ID;
}

/** The spec as it is by now, changed. */
export async function changeService(
  manager: Host,
  name: string,
  change: (spec: ServiceSpec) => ServiceSpec,
): Promise<void> {
  const service = await apiJson<{ Version: { Index: number }; Spec: ServiceSpec }>(manager, 'GET', `/services/${name}`);
  await apiJson(manager, 'POST', `/services/${name}/update?version=${service.Version.Index}`, change(service.Spec));
}

/** Oldest first. */
export async function tasksOf(manager: Host, service: string): Promise<TaskObject[]> {
  const filters = encodeURIComponent(JSON.stringify({ service: [service] }));
  const tasks = await apiJson<TaskObject[]>(manager, 'GET', `/tasks?filters=${filters}`);
  return tasks.toSorted((a, b) => Date.parse(a.CreatedAt) - Date.parse(b.CreatedAt));
}

export async function runningTasks(manager: Host, service: string): Promise<TaskObject[]> {
  const tasks = await tasksOf(manager, service);
  return tasks.filter((task) => task.Status.State === 'running' && task.DesiredState === 'running');
}

/** Waits until the service has exactly so many running tasks. */
export function untilRunning(manager: Host, service: string, count: number, timeoutMs = 60_000): Promise<TaskObject[]> {
  return eventually(
    `${service} to have ${count} running tasks`,
    async () => {
      const tasks = await tasksOf(manager, service);
      const running = tasks.filter((task) => task.Status.State === 'running' && task.DesiredState === 'running');
      if (running.length === count) return running;
      throw new Error(
        JSON.stringify(tasks.map(({ Status, DesiredState }) => [DesiredState, Status.State, Status.Err])),
      );
    },
    { timeoutMs },
  );
}

/** The node object of a host, the newest when it has joined several times. */
export async function nodeOf(manager: Host, host: Host): Promise<NodeObject> {
  const nodes = await apiJson<NodeObject[]>(manager, 'GET', '/nodes');
  const own = nodes.filter((node) => node.Description?.Hostname === host.name);
  const newest = own.toSorted((a, b) => Date.parse(b.CreatedAt) - Date.parse(a.CreatedAt))[0];
  if (newest === undefined) throw new Error(`${host.name} is no node`);
  return newest;
}

export function untilNode(manager: Host, host: Host, state: string, timeoutMs = 60_000): Promise<NodeObject> {
  return eventually(
    `${host.name} to be ${state}`,
    async () => {
      const node = await nodeOf(manager, host);
      if (node.Status.State !== state) throw new Error(`it is ${node.Status.State}`);
      return node;
    },
    { timeoutMs },
  );
}

/** Names of the containers of tasks on a host's engine, by container ID. */
export async function taskContainers(host: Host, all = true): Promise<Map<string, string>> {
  const args = ['ps', '--no-trunc', '--filter', 'label=com.docker.swarm.task.id', '--format', '{{.ID}} {{.Names}}'];
  const { stdout } = await host.docker(all ? [...args, '-a'] : args);
  const lines = stdout.split('\n').filter((line) => line !== '');
  return new Map(lines.map((line) => line.split(' ') as [string, string]));
}
