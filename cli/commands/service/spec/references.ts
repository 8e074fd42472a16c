import type { Json } from '../../../../proto/objects/meta.ts';
import type { ServiceSpec } from '../../../../proto/objects/service.ts';
import type { NetworkAttachmentConfig } from '../../../../proto/objects/task.ts';
import { CommandError } from '../../../command.ts';
import type { Context } from '../../../context.ts';

/**
 * Fills in the IDs of networks, secrets and configs that were named on the command line.
 * @throws ApiError for a network, CommandError for a secret or config that is not there, and for a network that is there twice.
 */
export async function resolveReferences(context: Context, spec: ServiceSpec): Promise<void> {
  await resolveNetworks(context, spec);
  const { ContainerSpec } = spec.TaskTemplate;
  await resolve(context, 'Secret', '/secrets', ContainerSpec?.Secrets);
  await resolve(context, 'Config', '/configs', ContainerSpec?.Configs);
}

async function resolveNetworks(context: Context, { TaskTemplate }: ServiceSpec): Promise<void> {
  const attachments: NetworkAttachmentConfig[] = [];
  for (const attachment of TaskTemplate.Networks ?? []) {
    const path = `/networks/${encodeURIComponent(attachment.Target ?? '')}`;
    const { Id, Name } = await context.client.get<{ Id: string; Name: string }>(path, { scope: 'swarm' });
    if (attachments.some((each) => each.Target === Id)) {
      throw new CommandError(`service is already attached to network ${Name}`);
    }
    attachments.push({ ...attachment, Target: Id });
  }
  if (attachments.length === 0) return;
  TaskTemplate.Networks = attachments.toSorted((a, b) => ((a.Target ?? '') < (b.Target ?? '') ? -1 : 1));
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
