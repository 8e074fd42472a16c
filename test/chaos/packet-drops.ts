import type { Host } from '../lab/host.ts';

type Direction = 'in' | 'out';

/** Drops what comes in from, or goes out to, these hosts; the other direction stays open. */
export async function dropPackets(host: Host, direction: Direction, peers: readonly Host[]): Promise<void> {
  const [hook, field] = direction === 'in' ? ['input', 'saddr'] : ['output', 'daddr'];
  const rules = peers.map(({ address }) => `ip ${field} ${address} drop`);
  const lines = [`type filter hook ${hook} priority -300; policy accept;`, ...rules];
  const input = `table ip chaos_${direction} {\n chain drops {\n${lines.join('\n')}\n}\n}\n`;
  await host.exec(['nft', '-f', '-'], { input });
}

/** Undoes it, in both directions. */
export async function passPackets(host: Host): Promise<void> {
  for (const direction of ['in', 'out']) {
    await host.exec(['nft', 'delete', 'table', 'ip', `chaos_${direction}`], { check: false });
  }
}
