import { requireArgs, type Verb } from '../../command.ts';

interface Flags {
  token?: string;
  listenAddr: string;
  advertiseAddr?: string;
  dataPathAddr?: string;
  availability: string;
}

export const addJoin: Verb = (noun, act) => {
  noun
    .command('join')
    .description('Join a swarm as a node and/or manager')
    .argument('[address...]', 'HOST:PORT of a manager')
    .option('--token <token>', 'Token for entry into the swarm')
    .option('--listen-addr <addr>', 'Listen address (format: "<ip|interface>[:port]")', '0.0.0.0:2377')
    .option('--advertise-addr <addr>', 'Advertised address (format: "<ip|interface>[:port]")')
    .option('--data-path-addr <addr>', 'Address or interface to use for data path traffic (format: "<ip|interface>")')
    .option('--availability <how>', 'Availability of the node ("active", "pause", "drain")', 'active')
    .action(
      act<Flags>(async (context, flags, args) => {
        requireArgs('swarm join', args, 1, 1);
        await context.client.post('/swarm/join', {
          RemoteAddrs: args,
          JoinToken: flags.token ?? '',
          ListenAddr: flags.listenAddr,
          AdvertiseAddr: flags.advertiseAddr ?? '',
          DataPathAddr: flags.dataPathAddr ?? '',
          Availability: flags.availability,
        });
        const { Swarm } = await context.client.get<{ Swarm: { ControlAvailable: boolean } }>('/info');
        context.print(`This node joined a swarm as a ${Swarm.ControlAvailable ? 'manager' : 'worker'}.`);
      }),
    );
};
