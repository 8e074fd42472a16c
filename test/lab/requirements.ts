import { existsSync } from 'node:fs';
import { run } from './run.ts';

interface Requirement {
  program: string;
  package: string;
  why: string;
}

const REQUIREMENTS: readonly Requirement[] = [
  { program: 'dockerd', package: 'docker.io', why: 'each host of the lab runs its own Docker Engine' },
  { program: 'nft', package: 'nftables', why: 'name resolution hooks into containers with nftables' },
  { program: 'iptables', package: 'iptables', why: 'the Docker Engine needs it' },
  { program: 'ip', package: 'iproute2', why: 'overlay networks are made of kernel links' },
  { program: 'busybox', package: 'busybox-static', why: 'the test image is one static busybox' },
  { program: 'nsenter', package: 'util-linux', why: 'hosts of the lab are namespaces' },
  { program: 'python3', package: 'python3', why: 'tests open sockets of their own inside containers' },
  { program: 'curl', package: 'curl', why: 'tests talk to the API as any HTTP client does' },
  { program: 'script', package: 'bsdutils', why: 'tests need a terminal for docker exec -it' },
  { program: 'mkfs.ext4', package: 'e2fsprogs', why: 'managers get small disks of their own, to be filled' },
  { program: 'iperf3', package: 'iperf3', why: 'throughput measurements' },
  { program: 'wireguard-go', package: 'wireguard-go', why: 'encrypted networks on kernels without WireGuard' },
  { program: 'wg', package: 'wireguard-tools', why: 'encrypted networks' },
];

const FOLDERS = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];

/** Installs what the lab needs and is not there, saying what and why. @throws Error when not root, or when it cannot be had. */
export async function installRequirements(say: (line: string) => void): Promise<void> {
  if (process.getuid?.() !== 0) {
    throw new Error('the lab makes network namespaces and runs Docker Engines: run it as root (sudo npm …)');
  }
  const missing = REQUIREMENTS.filter((need) => !FOLDERS.some((folder) => existsSync(`${folder}/${need.program}`)));
  if (missing.length === 0) return;
  for (const need of missing) say(`installing ${need.package}: ${need.why}`);
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  await run('apt-get', ['update', '-q'], { timeoutMs: 300_000, env });
  const packages = missing.map((need) => need.package);
  await run('apt-get', ['install', '-y', '-q', '--no-install-recommends', ...packages], { timeoutMs: 600_000, env });
}
