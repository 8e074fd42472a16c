import { CommandError, type Verb } from '../../command.ts';

export const addCa: Verb = (noun, act) => {
  noun
    .command('ca')
    .description('Display the root CA')
    .action(
      act(async (context) => {
        const swarm = await context.client.get<{ TLSInfo?: { TrustRoot?: string } }>('/swarm');
        const root = swarm.TLSInfo?.TrustRoot;
        if (root === undefined || root === '') throw new CommandError('No CA information available');
        context.print(root.trimEnd());
      }),
    );
};
