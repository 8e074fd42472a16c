import { fileURLToPath } from 'node:url';
import { type ProbeAnswer, probeAnswerSchema } from '../../../proto/objects/diagnosis/path.ts';
import { command } from '../system/command.ts';

const CHILD = fileURLToPath(new URL('./echo-child.ts', import.meta.url));

/**
 * Sends up to three echo requests of one size, never fragmented, 300 ms apart, and waits a second after the last for an answer.
 * @param namespace path of the network namespace to send from; absent for the daemon's own.
 * @throws WaggleError internal when the namespace cannot be entered.
 */
export async function echoProbe(
  request: { address: string; marker: string; size: number },
  namespace?: string,
): Promise<ProbeAnswer> {
  const program = [process.execPath, CHILD, request.address, request.marker, String(request.size)];
  const [file = '', ...args] = namespace === undefined ? program : ['nsenter', `--net=${namespace}`, ...program];
  return probeAnswerSchema.parse(JSON.parse(await command(file, args)));
}
