import { systemClock } from '../../../proto/runtime/clock.ts';
import { ApiError } from '../../client.ts';
import { requireArgs, type Verb } from '../../command.ts';
import { printInspection } from '../../format/inspection.ts';
import type { Context } from '../../context.ts';
import { getService } from './api-service.ts';
import { prettyService } from './pretty-service.ts';

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
          for (const ref of args) for (const line of await describe(context, ref)) context.print(line);
        } else {
          await printInspection(context, args, (ref) => getService(context, ref, true), flags.format);
        }
      }),
    );
};

/** Networks are shown by name, as far as they are still there. */
async function describe(context: Context, ref: string): Promise<string[]> {
  const service = await getService(context, ref, true);
  const names: string[] = [];
  for (const { Target = '' } of service.Spec.TaskTemplate.Networks ?? service.Spec.Networks ?? []) {
    names.push(await networkName(context, Target));
  }
  return prettyService(service, names, systemClock.now());
}

async function networkName(context: Context, id: string): Promise<string> {
  try {
    return (await context.client.get<{ Name: string }>(`/networks/${encodeURIComponent(id)}`)).Name;
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return id;
    throw error;
  }
}
