import type { JoinTokens } from '../../../proto/objects/cluster.ts';
import { collect, CommandError, type Verb } from '../../command.ts';
import { parseCount } from '../service/spec/values.ts';
import { addSpecFlags, applySpecFlags, type SpecFlags } from './spec-flags.ts';
import { managerAddress, printJoinCommand } from './join-command.ts';

interface Flags extends SpecFlags {
  advertiseAddr?: string;
  listenAddr: string;
  dataPathAddr?: string;
  dataPathPort?: string;
  defaultAddrPool?: string[];
  defaultAddrPoolMaskLength?: string;
  availability: string;
  forceNewCluster?: boolean;
}

export const addInit: Verb = (noun, act) => {
  addSpecFlags(noun.command('init').description('Initialize a swarm'))
    .option('--advertise-addr <addr>', 'Advertised address (format: "<ip|interface>[:port]")')
    .option('--listen-addr <addr>', 'Listen address (format: "<ip|interface>[:port]")', '0.0.0.0:2377')
    .option('--data-path-addr <addr>', 'Address or interface to use for data path traffic (format: "<ip|interface>")')
    .option('--data-path-port <port>', 'Port number to use for data path traffic (1024 - 49151)')
    .option('--default-addr-pool <cidr>', 'default address pool in CIDR format', collect)
    .option('--default-addr-pool-mask-length <length>', 'default address pool subnet mask length')
    .option('--availability <how>', 'Availability of the node ("active", "pause", "drain")', 'active')
    .option('--force-new-cluster', 'Force create a new cluster from current state')
    .action(
      act<Flags>(async (context, flags) => {
        assertAvailability(flags.availability);
        const spec = applySpecFlags({ Name: 'default', Labels: {} }, flags);
        const nodeId = await context.client.post<string>('/swarm/init', {
          ListenAddr: flags.listenAddr,
          AdvertiseAddr: flags.advertiseAddr ?? '',
          DataPathAddr: flags.dataPathAddr ?? '',
          DataPathPort: parseCount('data-path-port', flags.dataPathPort ?? '0'),
          DefaultAddrPool: (flags.defaultAddrPool ?? []).flatMap((each) => each.split(',')),
          SubnetSize: parseCount('default-addr-pool-mask-length', flags.defaultAddrPoolMaskLength ?? '0'),
          ForceNewCluster: flags.forceNewCluster === true,
          AutoLockManagers: flags.autolock === true,
          Spec: spec,
          Availability: flags.availability,
        });
        context.print(`Swarm initialized: current node (${nodeId}) is now a manager.\n`);
        const { JoinTokens: tokens } = await context.client.get<{ JoinTokens: JoinTokens }>('/swarm');
        printJoinCommand(context, 'worker', tokens.Worker, await managerAddress(context));
        context.print(
          "To add a manager to this swarm, run 'waggle swarm join-token manager' and follow the instructions.\n",
        );
        if (flags.autolock === true) {
          const { UnlockKey } = await context.client.get<{ UnlockKey: string }>('/swarm/unlockkey');
          context.print(unlockAdvice(UnlockKey));
        }
      }),
    );
};

/** @throws CommandError */
function assertAvailability(given: string): void {
  if (['active', 'pause', 'drain'].includes(given)) return;
  throw new CommandError(`invalid availability "${given}", only active, pause and drain are supported`);
}

/** What docker prints of an unlock key. */
export function unlockAdvice(key: string): string {
  return `To unlock a swarm manager after it restarts, run the \`waggle swarm unlock\`
command and provide the following key:

    ${key}

Please remember to store this key in a password manager, since without it you
will not be able to restart the manager.
`;
}
