import { ApiError } from '../../client.ts';
import { filtersOf } from '../../filters.ts';
import { collect, CommandError, requireArgs, type Verb } from '../../command.ts';
import { type ApiTask, printTasks, type TaskListingFlags } from '../task-listing.ts';
import { getService } from './api-service.ts';

interface Flags extends TaskListingFlags {
  filter?: string[];
}

export const addPs: Verb = (noun, act) => {
  noun
    .command('ps')
    .description('List the tasks of one or more services')
    .argument('[service...]')
    .option('-f, --filter <filter>', 'Filter output based on conditions provided', collect)
    .option('--format <template>', 'Pretty-print tasks using a Go template')
    .option('--no-resolve', 'Do not map IDs to Names')
    .option('--no-trunc', 'Do not truncate output')
    .option('-q, --quiet', 'Only display task IDs')
    .action(
      act<Flags>(async (context, flags, args) => {
        requireArgs('service ps', args, 1);
        const tasks: ApiTask[] = [];
        const missing: string[] = [];
        for (const ref of args) {
          try {
            const service = await getService(context, ref);
            const filters = filtersOf([...(flags.filter ?? []), `service=${service.ID}`]);
            tasks.push(...(await context.client.get<ApiTask[]>('/tasks', { filters })));
          } catch (error) {
            if (!(error instanceof ApiError) || error.status !== 404) throw error;
            missing.push(`no such service: ${ref}`);
          }
        }
        if (tasks.length > 0 || missing.length === 0) await printTasks(context, tasks, flags);
        if (missing.length > 0) throw new CommandError(missing.join('\n'));
      }),
    );
};
