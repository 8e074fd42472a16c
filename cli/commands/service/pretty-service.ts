import type { Driver } from '../../../proto/objects/meta.ts';
import type { PortConfig } from '../../../proto/objects/endpoint.ts';
import type { UpdateConfig } from '../../../proto/objects/service.ts';
import type { ContainerSpec, ResourceSet } from '../../../proto/objects/task.ts';
import { formatBytes, formatDuration, humanDuration } from '../../format/units.ts';
import { type ApiService, modeOf } from './api-service.ts';

/** What `service inspect --pretty` prints of a service with its defaults filled in, line by line. */
export function prettyService(service: ApiService, networks: readonly string[], nowMs: number): string[] {
  const { Spec, Endpoint } = service;
  const { Placement, Resources, ContainerSpec: container } = Spec.TaskTemplate;
  const labels = Object.entries(Spec.Labels ?? {}).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return [
    '',
    `ID:\t\t${service.ID}`,
    `Name:\t\t${Spec.Name}`,
    ...titled(
      'Labels:',
      labels.map(([key, value]) => ` ${key}${value === '' ? '' : `=${value}`}`),
    ),
    ...mode(service),
    ...updateStatus(service, nowMs),
    'Placement:',
    ...((Placement?.Constraints?.length ?? 0) > 0 ? [` Constraints:\t[${Placement?.Constraints?.join(' ')}]`] : []),
    ...((Placement?.Preferences?.length ?? 0) > 0
      ? [
          ` Preferences:   [${Placement?.Preferences?.map((each) => `spread=${each.Spread?.SpreadDescriptor}`).join(' ')}]`,
        ]
      : []),
    ...(Placement?.MaxReplicas ? [` Max Replicas Per Node:   ${Placement.MaxReplicas}`] : []),
    ...rollout('Update', Spec.UpdateConfig),
    ...rollout('Rollback', Spec.RollbackConfig),
    'ContainerSpec:',
    ...containerLines(container ?? {}),
    ...logDriver(Spec.TaskTemplate.LogDriver),
    ...(Resources === undefined ? [] : ['Resources:']),
    ...resources('Reservations', Resources?.Reservations),
    ...resources('Limits', Resources?.Limits),
    ...(networks.length === 0 ? [] : [`Networks: ${networks.join(' ')} `]),
    `Endpoint Mode:\t${Endpoint?.Spec?.Mode ?? Spec.EndpointSpec?.Mode ?? 'vip'}`,
    ...titled('Ports:', (Endpoint?.Ports ?? []).flatMap(portLines)),
    ...healthLines(container?.Healthcheck),
    '',
  ];
}

function mode({ Spec }: ApiService): string[] {
  const name = modeOf(Spec);
  const title = `Service Mode:\t${name.replace(/(^| )\w/g, (letter) => letter.toUpperCase())}`;
  if (name === 'replicated') return [title, ` Replicas:\t${Spec.Mode?.Replicated?.Replicas ?? 1}`];
  return [title];
}

function updateStatus({ UpdateStatus }: ApiService, nowMs: number): string[] {
  if (UpdateStatus?.State === undefined) return [];
  const { StartedAt, CompletedAt } = UpdateStatus;
  const ago = (at: string): string => `${humanDuration(nowMs - Date.parse(at)).toLowerCase()} ago`;
  return [
    'UpdateStatus:',
    ` State:\t\t${UpdateStatus.State}`,
    ...(StartedAt === undefined ? [] : [` Started:\t${ago(StartedAt)}`]),
    ...(CompletedAt === undefined || UpdateStatus.State !== 'completed' ? [] : [` Completed:\t${ago(CompletedAt)}`]),
    ` Message:\t${UpdateStatus.Message ?? ''}`,
  ];
}

function containerLines(container: ContainerSpec): string[] {
  const { Args, Env, Dir, User, Init, CapabilityAdd, CapabilityDrop, Sysctls, Ulimits } = container;
  const words = (title: string, list: readonly string[] | null | undefined): string[] =>
    (list?.length ?? 0) > 0 ? [` ${title}:\t\t${list?.join(' ')} `] : [];
  return [
    ` Image:\t\t${container.Image ?? ''}`,
    ...words('Args', Args),
    ...words('Env', Env),
    ...(Dir ? [` Dir:\t\t${Dir}`] : []),
    ...(Init === undefined || Init === null ? [] : [` Init:\t\t${Init}`]),
    ...(User ? [` User: ${User}`] : []),
    ...titled('Capabilities:', [
      ...(CapabilityAdd ? [` Add: ${CapabilityAdd.join(', ')}`] : []),
      ...(CapabilityDrop ? [` Drop: ${CapabilityDrop.join(', ')}`] : []),
    ]),
    ...titled(
      'SysCtls:',
      Object.entries(Sysctls ?? {}).map(([key, value]) => ` ${key}: ${value}`),
    ),
    ...titled(
      'Ulimits:',
      (Ulimits ?? []).map(({ Name, Soft, Hard }) => ` ${Name}: ${Soft}:${Hard}`),
    ),
    ...titled('Mounts:', (container.Mounts ?? []).flatMap(mountLines)),
  ];
}

function mountLines(mount: NonNullable<ContainerSpec['Mounts']>[number]): string[] {
  return [
    ` Target:\t${mount['Target'] as string}`,
    `  Source:\t${(mount['Source'] as string | undefined) ?? ''}`,
    `  ReadOnly:\t${mount['ReadOnly'] === true}`,
    `  Type:\t\t${mount['Type'] as string}`,
  ];
}

function logDriver(driver: Driver | undefined): string[] {
  if (driver?.Name === undefined || driver.Name === '') return [];
  const options = Object.entries(driver.Options ?? {}).map(([key, value]) => `  ${key}:       ${value}`);
  return ['Log Driver:', ` Name:\t\t${driver.Name}`, ...titled(' LogOpts:', options), ''];
}

function resources(title: string, set: ResourceSet | undefined): string[] {
  return titled(` ${title}:`, [
    ...(set?.NanoCPUs ? [`  CPU:\t\t${set.NanoCPUs / 1e9}`] : []),
    ...(set?.MemoryBytes ? [`  Memory:\t${formatBytes(set.MemoryBytes)}`] : []),
    ...(set?.Pids ? [`  PIDs:\t\t${set.Pids}`] : []),
  ]);
}

function rollout(kind: 'Update' | 'Rollback', config: UpdateConfig | undefined): string[] {
  if (config === undefined) return [];
  return [
    `${kind}Config:`,
    ` Parallelism:\t${config.Parallelism ?? 0}`,
    ...(config.Delay ? [` Delay:\t\t${formatDuration(config.Delay)}`] : []),
    ` On failure:\t${config.FailureAction ?? 'pause'}`,
    ` Monitoring Period: ${formatDuration(config.Monitor ?? 5e9)}`,
    ` Max failure ratio: ${config.MaxFailureRatio ?? 0}`,
    ` ${kind} order:${' '.repeat(kind === 'Update' ? 6 : 4)}${config.Order ?? 'stop-first'}`,
  ];
}

function portLines(port: PortConfig): string[] {
  return [
    ` PublishedPort = ${port.PublishedPort ?? 0}`,
    `  Protocol = ${port.Protocol ?? 'tcp'}`,
    `  TargetPort = ${port.TargetPort ?? 0}`,
    `  PublishMode = ${port.PublishMode ?? 'ingress'} `,
  ];
}

function healthLines(check: ContainerSpec['Healthcheck']): string[] {
  if (check === undefined || check === null) return [];
  return [
    ' Healthcheck:',
    `  Interval = ${formatDuration(check.Interval ?? 0)}`,
    `  Retries = ${check.Retries ?? 0}`,
    `  StartPeriod =\t${formatDuration(check.StartPeriod ?? 0)}`,
    `  Timeout =\t${formatDuration(check.Timeout ?? 0)}`,
    ...titled(
      '  Tests:',
      (check.Test ?? []).map((each, at, all) => `\t Test = ${each}${at === all.length - 1 ? ' ' : ''}`),
    ),
  ];
}

function titled(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : [title, ...lines];
}
