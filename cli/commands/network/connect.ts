import { collect, requireArgs, type Verb } from '../../command.ts';

interface ConnectFlags {
  alias?: string[];
  ip?: string;
}

export const addConnect: Verb = (noun, act) => {
  noun
    .command('connect')
    .description('Connect a container to a network')
    .argument('[args...]', 'NETWORK CONTAINER')
    .option('--alias <name>', 'Add network-scoped alias for the container', collect)
    .option('--ip <address>', 'IPv4 address (e.g., "172.30.100.104")')
    .action(
      act<ConnectFlags>(async (context, flags, args) => {
        requireArgs('network connect', args, 2, 2);
        const [network = '', container = ''] = args;
        await context.client.post(`/networks/${encodeURIComponent(network)}/connect`, {
          Container: container,
          EndpointConfig: {
            ...(flags.alias === undefined ? {} : { Aliases: flags.alias }),
            ...(flags.ip === undefined ? {} : { IPAMConfig: { IPv4Address: flags.ip } }),
          },
        });
      }),
    );
};

export const addDisconnect: Verb = (noun, act) => {
  noun
    .command('disconnect')
    .description('Disconnect a container from a network')
    .argument('[args...]', 'NETWORK CONTAINER')
    .option('-f, --force', 'Force the container to disconnect from a network')
    .action(
      act<{ force?: boolean }>(async (context, flags, args) => {
        requireArgs('network disconnect', args, 2, 2);
        const [network = '', container = ''] = args;
        const body = { Container: container, Force: flags.force === true };
        await context.client.post(`/networks/${encodeURIComponent(network)}/disconnect`, body);
      }),
    );
};
