import type { Context } from '../../context.ts';

interface SwarmInfo {
  Swarm: { NodeID: string; NodeAddr: string; RemoteManagers: { NodeID: string; Addr: string }[] | null };
}

/** Where others find this manager, host:port. */
export async function managerAddress(context: Context): Promise<string> {
  const { Swarm } = await context.client.get<SwarmInfo>('/info');
  const own = Swarm.RemoteManagers?.find((manager) => manager.NodeID === Swarm.NodeID);
  return own?.Addr ?? `${Swarm.NodeAddr}:2377`;
}

export function printJoinCommand(context: Context, role: string, token: string, address: string): void {
  context.print(`To add a ${role} to this swarm, run the following command:\n`);
  context.print(`    waggle swarm join --token ${token} ${address}\n`);
}
