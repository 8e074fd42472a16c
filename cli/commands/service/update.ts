import type { Json } from '../../../proto/objects/meta.ts';
import type { ServiceSpec } from '../../../proto/objects/service.ts';
import { requireArgs, type Verb } from '../../command.ts';
import type { Context } from '../../context.ts';
import { getService, putService } from './api-service.ts';
import { waitForConvergence } from './convergence.ts';
import { addUpdateListFlags, applyListFlags } from './spec/list-flags.ts';
import { pinImage } from './spec/image-digest.ts';
import { resolveReferences } from './spec/references.ts';
import { addScalarFlags, applyScalarFlags, words } from './spec/scalar-flags.ts';

type Flags = Record<string, Json | undefined> & {
  image?: string;
  args?: string;
  force?: boolean;
  rollback?: boolean;
  detach?: boolean;
  quiet?: boolean;
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
    .option('--with-registry-auth', 'Send registry authentication details to swarm agents')
    .option('-d, --detach', 'Exit immediately instead of waiting for the service to converge')
    .option('-q, --quiet', 'Suppress progress output');
  addUpdateListFlags(addScalarFlags(command)).action(
    act<Flags>(async (context, flags, args) => {
      requireArgs('service update', args, 1, 1);
      const service = await getService(context, args[0] ?? '');
      if (flags.rollback === true) {
        await putService(context, service, service.Spec, { rollback: 'previous' });
      } else {
        const spec = structuredClone(service.Spec);
        await namesToIds(context, flags);
        changeSpec(spec, flags);
        await resolveReferences(context, spec);
        if (flags.image !== undefined && flags.resolveImage !== false) await pinImage(context, spec);
        await putService(context, service, spec);
      }
      context.print(args[0] ?? '');
      if (flags.detach !== true) await waitForConvergence(context, service.ID, flags.quiet === true);
    }),
  );
};

/** Pure: what the flags change in a spec. */
export function changeSpec(spec: ServiceSpec, flags: Flags): void {
  const { TaskTemplate } = spec;
  if (flags.image !== undefined) TaskTemplate.ContainerSpec = { ...TaskTemplate.ContainerSpec, Image: flags.image };
  if (flags.args !== undefined) TaskTemplate.ContainerSpec = { ...TaskTemplate.ContainerSpec, Args: words(flags.args) };
  applyListFlags(spec, flags as Record<string, string[]>);
  applyScalarFlags(spec, flags);
  if (flags.force === true) TaskTemplate.ForceUpdate = (TaskTemplate.ForceUpdate ?? 0) + 1;
}

/** Stored specs name networks by ID, so `--network-rm NAME` is looked up first. */
async function namesToIds(context: Context, flags: Flags): Promise<void> {
  const given = flags['networkRm'] as string[] | undefined;
  if (given === undefined) return;
  const networks = await context.client.get<{ Id: string; Name: string }[]>('/networks');
  const idOf = (ref: string): string => networks.find((each) => each.Name === ref || each.Id === ref)?.Id ?? ref;
  flags['networkRm'] = [...given, ...given.map(idOf)];
}
