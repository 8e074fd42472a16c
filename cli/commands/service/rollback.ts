import { requireArgs, type Verb } from '../../command.ts';
import { getService, putService } from './api-service.ts';
import { waitForConvergence } from './convergence.ts';

export const addRollback: Verb = (noun, act) => {
  noun
    .command('rollback')
    .description("Revert changes to a service's configuration")
    .argument('[service...]')
    .option('-d, --detach', 'Exit immediately instead of waiting for the service to converge')
    .option('-q, --quiet', 'Suppress progress output')
    .action(
      act<{ detach?: boolean; quiet?: boolean }>(async (context, flags, args) => {
        requireArgs('service rollback', args, 1, 1);
        const service = await getService(context, args[0] ?? '');
        await putService(context, service, service.Spec, { rollback: 'previous' });
        context.print(args[0] ?? '');
        if (flags.detach !== true) await waitForConvergence(context, service.ID, flags.quiet === true, true);
      }),
    );
};
