import { requireArgs, type Verb } from '../../command.ts';
import { printInspection } from '../../format/inspection.ts';
import { formatBytes, formatDuration } from '../../format/units.ts';
import type { UpdateConfig } from '../../../proto/objects/service.ts';
import { type ApiService, getService, modeOf } from './api-service.ts';

interface Flags {
  format?: string;
  pretty?: boolean;
}

export const addInspect: Verb = (noun, act) => {
  noun
    .command('inspect')
    .description('Display detailed information on one or more services')
    .argument('[service...]')
    .option('-f, --format <template>', 'Format output using a custom template')
    .option('--pretty', 'Print the information in a human friendly format')
    .action(
      act<Flags>(async (context, flags, args) => {
        requireArgs('service inspect', args, 1);
        if (flags.pretty === true) {
          for (const ref of args) for (const line of pretty(await getService(context, ref, true))) context.print(line);
        } else {
          await printInspection(context, args, (ref) => getService(context, ref, true), flags.format);
        }
      }),
    );
};

function pretty(service: ApiService): string[] {
  const { Spec, Endpoint, UpdateStatus } = service;
  const container = Spec.TaskTemplate.ContainerSpec;
  const mode = modeOf(Spec);
  return [
    `\nID:\t\t${service.ID}`,
    `Name:\t\t${Spec.Name}`,
    ...list(
      'Labels:',
      Object.entries(Spec.Labels ?? {}).map(([key, value]) => ` ${key}=${value}`),
    ),
    `Service Mode:\t${mode.slice(0, 1).toUpperCase()}${mode.slice(1)}`,
    ...(mode === 'replicated' ? [` Replicas:\t${Spec.Mode?.Replicated?.Replicas ?? 1}`] : []),
    ...(UpdateStatus === undefined
      ? []
      : ['UpdateStatus:', ` State:\t\t${UpdateStatus.State}`, ` Message:\t${UpdateStatus.Message}`]),
    ...list(
      'Placement:',
      (Spec.TaskTemplate.Placement?.Constraints ?? []).map((each) => ` Constraints:\t${each}`),
    ),
    ...rollout('UpdateConfig:', Spec.UpdateConfig),
    ...rollout('RollbackConfig:', Spec.RollbackConfig),
    'ContainerSpec:',
    ` Image:\t\t${container?.Image ?? ''}`,
    ...(container?.Args ? [` Args:\t\t${container.Args.join(' ')} `] : []),
    ...(container?.Env ? [` Env:\t\t${container.Env.join(' ')} `] : []),
    'Resources:',
    ...limits(service),
    ...list(
      'Networks:',
      (Spec.TaskTemplate.Networks ?? []).map((each) => ` ${each.Target ?? ''}`),
    ),
    `Endpoint Mode:\t${Endpoint?.Spec?.Mode ?? Spec.EndpointSpec?.Mode ?? 'vip'}`,
    ...list(
      'Ports:',
      (Endpoint?.Ports ?? []).map(
        (port) =>
          ` PublishedPort = ${port.PublishedPort ?? 0}\n  Protocol = ${port.Protocol ?? 'tcp'}\n  TargetPort = ${port.TargetPort ?? 0}\n  PublishMode = ${port.PublishMode ?? 'ingress'}`,
      ),
    ),
  ];
}

function limits({ Spec }: ApiService): string[] {
  const { Limits, Reservations } = Spec.TaskTemplate.Resources ?? {};
  const lines = (title: string, set: typeof Limits): string[] => [
    ...(set?.NanoCPUs ? [` ${title} CPUs:\t${set.NanoCPUs / 1e9}`] : []),
    ...(set?.MemoryBytes ? [` ${title} Memory:\t${formatBytes(set.MemoryBytes)}`] : []),
  ];
  return [...lines('Reserved', Reservations), ...lines('Limit', Limits)];
}

function rollout(title: string, config: UpdateConfig | undefined): string[] {
  if (config === undefined) return [];
  return [
    title,
    ` Parallelism:\t${config.Parallelism ?? 0}`,
    ...(config.Delay ? [` Delay:\t\t${formatDuration(config.Delay)}`] : []),
    ` On failure:\t${config.FailureAction ?? 'pause'}`,
    ` Monitoring Period: ${formatDuration(config.Monitor ?? 5e9)}`,
    ` Max failure ratio: ${config.MaxFailureRatio ?? 0}`,
    ` Update order:      ${config.Order ?? 'stop-first'}`,
  ];
}

function list(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : [title, ...lines];
}
