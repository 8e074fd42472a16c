import type { Json } from '../../../../proto/objects/meta.ts';
import type { ServiceSpec } from '../../../../proto/objects/service.ts';
import { CommandError } from '../../../command.ts';
import type { Context } from '../../../context.ts';

/** Fills in the IDs of secrets and configs that were named on the command line. @throws CommandError for one that is not there. */
export async function resolveReferences(context: Context, spec: ServiceSpec): Promise<void> {
  const { ContainerSpec } = spec.TaskTemplate;
  await resolve(context, 'Secret', '/secrets', ContainerSpec?.Secrets);
  await resolve(context, 'Config', '/configs', ContainerSpec?.Configs);
}

async function resolve(
  context: Context,
  kind: 'Secret' | 'Config',
  path: string,
  references: { [key: string]: Json }[] | null | undefined,
): Promise<void> {
  const open = (references ?? []).filter((each) => each[`${kind}ID`] === '');
  if (open.length === 0) return;
  const all = await context.client.get<{ ID: string; Spec: { Name: string } }[]>(path);
  for (const reference of open) {
    const found = all.find((each) => each.Spec.Name === reference[`${kind}Name`]);
    if (found === undefined)
      throw new CommandError(`${kind.toLowerCase()} not found: ${reference[`${kind}Name`] as string}`);
    reference[`${kind}ID`] = found.ID;
  }
}
