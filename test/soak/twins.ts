import type { Host } from '../lab/host.ts';

/** Names of the engine's networks that stand for the swarm's. */
export async function twinsOn(host: Host): Promise<string[]> {
  const { stdout } = await host.docker(['network', 'ls', '--filter', 'driver=waggle', '--format', '{{.Name}}']);
  return stdout.split('\n').filter((line) => line !== '');
}

/**
 * An engine keeps a network's endpoints and their number apart, and may lose a change of the number when several come and go at once
 * (moby/moby issue 42119). It then refuses to remove a network that nobody is on until it has started anew, which counts them.
 */
export async function isMiscounted(host: Host, network: string): Promise<boolean> {
  const { stdout } = await host.docker(['network', 'inspect', '-f', '{{len .Containers}}', network], { check: false });
  if (stdout.trim() !== '0') return false;
  const { stderr } = await host.docker(['network', 'rm', network], { check: false });
  return stderr.includes('has active endpoints');
}
