import type { Json } from '../../../proto/objects/meta.ts';
import type { ServiceSpec } from '../../../proto/objects/service.ts';
import { CommandError, requireArgs, type Verb } from '../../command.ts';
import type { Context } from '../../context.ts';
import { authHeader } from '../../registry-auth.ts';
import { getService, putService } from './api-service.ts';
import { addConvergenceFlags, type ConvergenceFlags, waitForConvergence } from './convergence.ts';
import { addUpdateListFlags, applyListFlags } from './spec/list-flags.ts';
import { type HostEnvironment, withHostValues } from './spec/host-environment.ts';
import { pinImage } from './spec/image-digest.ts';
import { resolveReferences } from './spec/references.ts';
import { addScalarFlags, applyScalarFlags, words } from './spec/scalar-flags.ts';

type Flags = Record<string, Json | undefined> &
  ConvergenceFlags & {
    image?: string;
    args?: string;
    force?: boolean;
    rollback?: boolean;
    resolveImage?: boolean;
  };

export const addUpdate: Verb = (noun, act) => {
  const command = noun
    .command('update')
    .description('Update a service')
    .argument('[service...]')
    .option('--image <string>', 'Service image tag')
    .option('--args <command>', 'Service command args')
    .option('--force', 'Force update even if no changes require it')
    .option('--rollback', 'Rollback to previous specification')
    .option('--no-resolve-image', 'Do not query the registry to resolve image digest and supported platforms')
    .option('--with-registry-auth', 'Send registry authentication details to swarm agents');
  addUpdateListFlags(addScalarFlags(addConvergenceFlags(command))).action(
    act<Flags>(async (context, flags, args) => {
      requireArgs('service update', args, 1, 1);
      assertRollbackAlone(flags);
      const service = await getService(context, args[0] ?? '');
      if (flags.rollback === true) {
        await putService(context, service, service.Spec, { rollback: 'previous' });
      } else {
        const spec = structuredClone(service.Spec);
        await namesToIds(context, flags);
        changeSpec(spec, flags, process.env);
        await resolveReferences(context, spec);
        const pin = flags.image !== undefined && flags.resolveImage !== false;
        const unpinned = pin ? await pinImage(context, spec) : undefined;
        const image = spec.TaskTemplate.ContainerSpec?.Image ?? '';
        const headers = flags['withRegistryAuth'] === true ? authHeader(image, process.env) : {};
        await putService(context, service, spec, {}, headers);
        if (unpinned !== undefined) context.warn(unpinned);
      }
      context.print(args[0] ?? '');
      if (flags.detach !== true)
        await waitForConvergence(context, service.ID, flags.quiet === true, flags.rollback === true);
    }),
  );
};

/** What the flags change in a spec. Lists that have become empty are left out, as Docker's own client has it. */
function changeSpec(spec: ServiceSpec, flags: Flags, host: HostEnvironment): void {
  const { TaskTemplate } = spec;
  const env = flags['envAdd'] as string[] | undefined;
  if (flags.image !== undefined) TaskTemplate.ContainerSpec = { ...TaskTemplate.ContainerSpec, Image: flags.image };
  if (flags.args !== undefined) TaskTemplate.ContainerSpec = { ...TaskTemplate.ContainerSpec, Args: words(flags.args) };
  const given = env === undefined ? flags : { ...flags, envAdd: withHostValues(env, host) };
  applyListFlags(spec, given as Record<string, string[]>);
  applyScalarFlags(spec, flags);
  if (flags.force === true) TaskTemplate.ForceUpdate = (TaskTemplate.ForceUpdate ?? 0) + 1;
  for (const part of [TaskTemplate, TaskTemplate.ContainerSpec, TaskTemplate.Placement, spec.EndpointSpec]) {
    dropEmpty(part, (value) => Array.isArray(value) && value.length === 0);
  }
  for (const part of [TaskTemplate.Resources?.Limits, TaskTemplate.Resources?.Reservations]) {
    dropEmpty(part, (value) => value === 0);
  }
}

function dropEmpty(part: object | undefined, isEmpty: (value: unknown) => boolean): void {
  for (const [key, value] of Object.entries(part ?? {})) if (isEmpty(value)) Reflect.deleteProperty(part ?? {}, key);
}

/** @throws CommandError when `--rollback` comes with a flag that would change the spec. */
function assertRollbackAlone(flags: Flags): void {
  const others = Object.entries(flags).filter(
    ([key]) => !['rollback', 'detach', 'quiet', 'resolveImage'].includes(key),
  );
  // `healthcheck` is true unless `--no-healthcheck` is given.
  if (
    flags.rollback === true &&
    others.some(([key, value]) => value !== undefined && !(key === 'healthcheck' && value === true))
  )
    throw new CommandError('other flags may not be combined with --rollback');
}

/** Stored specs name networks by ID, so `--network-rm NAME` is looked up first. */
async function namesToIds(context: Context, flags: Flags): Promise<void> {
  const given = flags['networkRm'] as string[] | undefined;
  if (given === undefined) return;
  const networks = await context.client.get<{ Id: string; Name: string }[]>('/networks');
  const idOf = (ref: string): string => networks.find((each) => each.Name === ref || each.Id === ref)?.Id ?? ref;
  flags['networkRm'] = [...given, ...given.map(idOf)];
}
