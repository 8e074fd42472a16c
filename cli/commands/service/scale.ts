import { CommandError, requireArgs, type Verb } from '../../command.ts';
import { getService, putService } from './api-service.ts';
import { waitForConvergence } from './convergence.ts';

export const addScale: Verb = (noun, act) => {
  noun
    .command('scale')
    .description('Scale one or multiple replicated services')
    .argument('[service=replicas...]')
    .option('-d, --detach', 'Exit immediately instead of waiting for the service to converge')
    .action(
      act<{ detach?: boolean }>(async (context, flags, args) => {
        requireArgs('service scale', args, 1);
        const scaled: string[] = [];
        for (const { ref, replicas } of args.map(parse)) {
          const service = await getService(context, ref);
          const { Mode } = service.Spec;
          if (Mode?.Replicated === undefined)
            throw new CommandError(`${ref}: scale can only be used with replicated or replicated-job mode`);
          await putService(context, service, { ...service.Spec, Mode: { Replicated: { Replicas: replicas } } });
          context.print(`${ref} scaled to ${replicas}`);
          scaled.push(service.ID);
        }
        if (flags.detach === true) return;
        for (const id of scaled) await waitForConvergence(context, id);
      }),
    );
};

function parse(argument: string): { ref: string; replicas: number } {
  const at = argument.lastIndexOf('=');
  if (at < 0) throw new CommandError(`Invalid scale specifier '${argument}'.\nSee 'waggle service scale --help'.`);
  const replicas = Number(argument.slice(at + 1));
  if (!Number.isInteger(replicas) || replicas < 0) {
    throw new CommandError(
      `${argument.slice(0, at)}: invalid replicas value ${argument.slice(at + 1)}: strconv.ParseUint: parsing "${argument.slice(at + 1)}": invalid syntax`,
    );
  }
  return { ref: argument.slice(0, at), replicas };
}
