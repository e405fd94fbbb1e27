'use strict';

require('./launcher.cjs').run('post');
