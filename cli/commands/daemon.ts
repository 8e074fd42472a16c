import { type Command, Option } from 'commander';
import type { DaemonFlags } from '../daemon/main.ts';
import { LOG_LEVELS } from '../../proto/runtime/log.ts';

/** `waggle daemon`; everything that it needs is loaded only when it runs. */
export function addDaemon(program: Command): void {
  program
    .command('daemon')
    .description('Run this node: the API socket, the network plugin, the worker and, on managers, the manager')
    .option('--host <url>', 'Socket to serve the API on', 'unix:///run/waggle/docker.sock')
    .option('--docker-host <url>', "Socket of this host's Docker Engine", 'unix:///var/run/docker.sock')
    .option('--data-dir <folder>', 'Where state is kept', '/var/lib/waggle')
    .option('--exec-root <folder>', 'Where run-time files are kept', '/run/waggle')
    .option('--plugin-dir <folder>', 'Where the Docker Engine looks for plugins', '/run/docker/plugins')
    .addOption(new Option('--log-level <level>', 'Least severe level to log').choices([...LOG_LEVELS]).default('info'))
    .action(async (options: DaemonFlags) => {
      const { runDaemon } = await import('../daemon/main.ts');
      await runDaemon(options);
    });
}
