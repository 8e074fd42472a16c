import { requireArgs, type Verb } from '../../command.ts';
import { printInspection } from '../../format/inspection.ts';

interface Flags {
  format?: string;
  verbose?: boolean;
}

export const addInspect: Verb = (noun, act) => {
  noun
    .command('inspect')
    .description('Display detailed information on one or more networks')
    .argument('[network...]')
    .option('-f, --format <template>', 'Format output using a custom template')
    .option('-v, --verbose', 'Verbose output for diagnostics')
    .action(
      act<Flags>(async (context, flags, args) => {
        requireArgs('network inspect', args, 1);
        const query = { verbose: flags.verbose === true ? true : undefined };
        const fetch = (ref: string): Promise<unknown> =>
          context.client.get(`/networks/${encodeURIComponent(ref)}`, query);
        await printInspection(context, args, fetch, flags.format);
      }),
    );
};
