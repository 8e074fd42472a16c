import { requireArgs, type Verb } from '../../command.ts';
import { getService, putService } from './api-service.ts';
import { addConvergenceFlags, type ConvergenceFlags, waitForConvergence } from './convergence.ts';

export const addRollback: Verb = (noun, act) => {
  const command = noun
    .command('rollback')
    .description("Revert changes to a service's configuration")
    .argument('[service...]');
  addConvergenceFlags(command).action(
    act<ConvergenceFlags>(async (context, flags, args) => {
      requireArgs('service rollback', args, 1, 1);
      const service = await getService(context, args[0] ?? '');
      await putService(context, service, service.Spec, { rollback: 'previous' });
      context.print(args[0] ?? '');
      if (flags.detach !== true) await waitForConvergence(context, service.ID, flags.quiet === true, true);
    }),
  );
};
