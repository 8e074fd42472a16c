import type { Command } from 'commander';
import { collect } from '../command.ts';
import type { Context } from '../context.ts';
import { naturalOrder } from '../format/natural-order.ts';
import { type Column, type ListingOptions, printListing } from '../format/listing.ts';
import { humanDuration } from '../format/units.ts';
import { systemClock } from '../../proto/runtime/clock.ts';

/** A task as `GET /tasks` shows it. */
export interface ApiTask {
  ID: string;
  CreatedAt: string;
  Spec: { ContainerSpec?: { Image?: string } };
  ServiceID: string;
  Slot?: number;
  NodeID?: string;
  DesiredState: string;
  Status: {
    Timestamp: string;
    State: string;
    Message?: string;
    Err?: string;
    ContainerStatus?: { ContainerID?: string; ExitCode?: number };
    PortStatus?: { Ports?: { Protocol?: string; TargetPort?: number; PublishedPort?: number }[] };
  };
}

/** As `addTaskListingFlags` parses them. */
export interface TaskListingFlags extends ListingOptions {
  filter?: string[];
  trunc?: boolean;
  resolve?: boolean;
}

/** What `service ps` and `node ps` can be told. */
export function addTaskListingFlags(command: Command): Command {
  return command
    .option('-f, --filter <filter>', 'Filter output based on conditions provided', collect)
    .option('--format <template>', 'Pretty-print tasks using a Go template')
    .option('--no-resolve', 'Do not map IDs to Names')
    .option('--no-trunc', 'Do not truncate output')
    .option('-q, --quiet', 'Only display task IDs');
}

interface Row {
  task: ApiTask;
  name: string;
  node: string;
}

/** Tasks by name, the newest first, those before it indented under it, as `docker service ps` has them. */
export async function printTasks(context: Context, tasks: readonly ApiTask[], flags: TaskListingFlags): Promise<void> {
  const resolve = flags.resolve !== false;
  const truncate = flags.trunc !== false;
  const names = resolve ? await namesById(context, '/services', (each) => each.Spec?.Name) : new Map<string, string>();
  const nodes = resolve
    ? await namesById(context, '/nodes', (each) => each.Description?.Hostname)
    : new Map<string, string>();
  const named = tasks.map((task) => {
    const place = task.Slot ? String(task.Slot) : (task.NodeID ?? '');
    return { task, name: `${names.get(task.ServiceID) ?? task.ServiceID}.${place}` };
  });
  const sorted = named.toSorted(
    (a, b) => naturalOrder(a.name, b.name) || Date.parse(b.task.CreatedAt) - Date.parse(a.task.CreatedAt),
  );
  let previous = '';
  const rows = sorted.map(({ task, name }): Row => {
    const indent = flags.format === undefined && name === previous;
    previous = name;
    return { task, name: indent ? ` \\_ ${name}` : name, node: nodes.get(task.NodeID ?? '') ?? task.NodeID ?? '' };
  });
  await printListing(context, columns(truncate), rows, flags, ({ task }) => task.ID);
}

interface Named {
  ID: string;
  Spec?: { Name?: string };
  Description?: { Hostname?: string };
}

async function namesById(
  context: Context,
  path: string,
  nameOf: (each: Named) => string | undefined,
): Promise<Map<string, string>> {
  const all = await context.client.get<Named[]>(path);
  return new Map(all.map((each) => [each.ID, nameOf(each) ?? each.ID]));
}

function columns(truncate: boolean): Column<Row>[] {
  return [
    { key: 'ID', header: 'ID', value: ({ task }) => shorten(task.ID, truncate) },
    { key: 'Name', header: 'NAME', value: ({ name }) => name },
    { key: 'Image', header: 'IMAGE', value: ({ task }) => imageOf(task, truncate) },
    { key: 'Node', header: 'NODE', value: ({ node }) => node },
    { key: 'DesiredState', header: 'DESIRED STATE', value: ({ task }) => capital(task.DesiredState) },
    { key: 'CurrentState', header: 'CURRENT STATE', value: ({ task }) => currentState(task) },
    { key: 'Error', header: 'ERROR', value: ({ task }) => errorOf(task, truncate) },
    { key: 'Ports', header: 'PORTS', value: ({ task }) => portsOf(task) },
  ];
}

function currentState({ Status }: ApiTask): string {
  const ago = humanDuration(systemClock.now() - Date.parse(Status.Timestamp)).toLowerCase();
  return `${capital(Status.State)} ${ago} ago`;
}

function errorOf({ Status }: ApiTask, truncate: boolean): string {
  const text = Status.Err ?? '';
  if (text === '') return '';
  return truncate && text.length > 30 ? `"${text.slice(0, 29)}…"` : `"${text}"`;
}

function imageOf({ Spec }: ApiTask, truncate: boolean): string {
  const image = Spec.ContainerSpec?.Image ?? '';
  return truncate && /:[^/@]+@sha256:/.test(image) ? (image.split('@')[0] ?? image) : image;
}

function portsOf({ Status }: ApiTask): string {
  const ports = Status.PortStatus?.Ports ?? [];
  return ports.map((port) => `*:${port.PublishedPort}->${port.TargetPort}/${port.Protocol}`).join(',');
}

function shorten(id: string, truncate: boolean): string {
  return truncate ? id.slice(0, 12) : id;
}

function capital(word: string): string {
  return word.slice(0, 1).toUpperCase() + word.slice(1);
}
