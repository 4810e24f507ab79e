#!/usr/bin/env node
import { launchRootlesskit } from '../launcher/rootlesskit.js';
import { report } from './report.js';

try {
  process.exitCode = await launchRootlesskit(process.argv.slice(2));
} catch (error) {
  report(error);
  process.exitCode = 1;
}
